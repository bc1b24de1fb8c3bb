//! Stripe's own pages for cards, invoices and cancelling.

use entity::UserId;

use super::{Billing, return_url::of_frontend};
use crate::error::{Error, Result};

impl Billing {
    /// The address of the user's portal, which leads back to `return_url`, or to the front end.
    ///
    /// # Errors
    /// Those of [`start_checkout`](Billing::start_checkout).
    pub async fn open_portal(&self, user: UserId, return_url: Option<String>) -> Result<String> {
        let payments = self.payments()?;
        let Some(frontend) = self.settings.frontend() else {
            return Err(Error::BillingNotConfigured(vec!["FRONTEND_URL"]));
        };
        let return_url = of_frontend(frontend, return_url, "", "returnUrl")?;
        let open = async |customer: String| payments.portal(&customer, &return_url).await;
        self.as_customer(user, open).await
    }
}
