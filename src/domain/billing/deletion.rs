//! Account deletion: ends a user's subscriptions and deletes the user's Stripe customer.

use entity::UserId;

use super::Billing;
use crate::{error::Result, ports::payments::PaymentError, store::subscriptions};

impl Billing {
    /// Deletes the user's Stripe customer, which ends all of its subscriptions, and then deletes the stored row. The call can be
    /// repeated.
    ///
    /// # Errors
    /// Stripe fails, or billing is no longer configured. The row is then kept, because the user may still pay for a subscription.
    pub async fn erase_user(&self, user: UserId) -> Result<()> {
        let Some(stored) = subscriptions::of_user(self.db.read(), user).await? else { return Ok(()) };
        if let Some(customer) = stored.customer() {
            self.delete_customer(customer).await?;
        }
        Ok(subscriptions::delete(self.db.write(), user, &stored.stripe_customer_id).await?)
    }

    /// Deletes a customer at Stripe, unless it is deleted already. Its open checkouts can no longer be paid.
    pub(super) async fn delete_customer(&self, id: &str) -> Result<()> {
        match self.payments()?.delete_customer(id).await {
            Ok(()) | Err(PaymentError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
