//! Payments that were taken back: refunded in full, or lost in a dispute. Whether somebody keeps Pro then is the operator's
//! decision; each is logged, and the last one stands in the user's row of `subscriptions`.

use entity::stripe_event;

use super::{
    Billing,
    webhook::{Object, Reference},
};
use crate::{
    error::Result,
    ports::payments::PaymentError,
    store::{stripe_events, subscriptions},
};

/// The charge that an event says was taken back, for good.
pub(super) fn charge(kind: &str, object: Object) -> Option<String> {
    match kind {
        "charge.refunded" if object.refunded == Some(true) => object.id,
        "charge.dispute.closed" if object.status.as_deref() == Some("lost") => {
            object.charge.map(Reference::into_id)
        }
        _ => None,
    }
}

impl Billing {
    /// Logs and stores what an event tells of a charge. A dispute does not say whose it is: Stripe is asked.
    pub(super) async fn record_reversal(&self, event: &stripe_event::Model, charge: &str) -> Result<()> {
        let now = self.clock.now();
        let customer = match self.payments()?.customer_of_charge(charge).await {
            Err(PaymentError::Missing(_)) => None,
            customer => customer?,
        };
        let user = match &customer {
            Some(customer) => subscriptions::user_of(self.db.read(), customer).await?,
            None => None,
        };
        if let Some(user) = user {
            tracing::warn!(%user, customer, charge, event = event.id, kind = event.kind, "payment reversed");
            let reversal = format!("{} {charge}", event.kind);
            subscriptions::set_reversal(self.db.write(), user, &reversal, event.received_at).await?;
        }
        stripe_events::mark(self.db.write(), std::slice::from_ref(&event.id), Some(now)).await?;
        Ok(())
    }
}
