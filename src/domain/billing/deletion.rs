//! Leaving for good.

use entity::UserId;

use super::Billing;
use crate::{error::Result, ports::payments::PaymentError, store::subscriptions};

impl Billing {
    /// Ends what a user who leaves pays for, and has the provider forget who it was. Safe to call again.
    ///
    /// # Errors
    /// The provider did not do it, or is not set up any more: then nobody knows what is still paid.
    pub async fn leave(&self, user: UserId) -> Result<()> {
        let Some(known) = subscriptions::of_user(self.db.read(), user).await? else { return Ok(()) };
        self.forget_customer(&known.stripe_customer_id).await?;
        Ok(subscriptions::delete(self.db.write(), user, &known.stripe_customer_id).await?)
    }

    /// Has the provider delete a customer, whose checkouts cannot be paid any more then, either.
    pub(super) async fn forget_customer(&self, id: &str) -> Result<()> {
        match self.payments()?.delete_customer(id).await {
            Ok(()) | Err(PaymentError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
