//! Stripe's customer portal: cards, invoices and cancellation.

use entity::UserId;

use super::{Billing, return_url::return_url_or_default};
use crate::error::{Error, Result};

impl Billing {
    /// Opens the user's portal and returns its URL. The portal links back to `return_url` or, without one, to the front end.
    ///
    /// # Errors
    /// Those of [`start_checkout`](Billing::start_checkout), except [`Error::AlreadySubscribed`].
    pub async fn open_portal(&self, user: UserId, return_url: Option<String>) -> Result<String> {
        let payments = self.payments()?;
        let Some(frontend) = self.settings.frontend() else {
            return Err(Error::BillingNotConfigured(vec!["FRONTEND_URL"]));
        };
        let return_url = return_url_or_default(frontend, return_url, "", "returnUrl")?;
        let open = async |customer: String| payments.open_portal(&customer, &return_url).await;
        self.with_customer(user, open).await
    }
}
