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
        match self.payments()?.delete_customer(&known.stripe_customer_id).await {
            // Its checkouts cannot be paid any more, either.
            Ok(()) | Err(PaymentError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(subscriptions::delete(self.db.write(), user, &known.stripe_customer_id).await?)
    }
}
