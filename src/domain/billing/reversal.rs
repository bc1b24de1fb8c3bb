//! Reversals: payments that were refunded in full or lost in a dispute.
//!
//! A reversal changes no tier, because only the operator can decide whether the user keeps Pro. Each reversal is logged, and the
//! last one of each user is stored in the user's row of `subscriptions`.

use entity::stripe_event;

use super::{
    Billing,
    payload::{EventObject, Reference},
};
use crate::{
    error::Result,
    ports::payments::PaymentError,
    store::{stripe_events, subscriptions},
};

/// The id of the reversed charge; none if the event reports no reversal.
pub(super) fn reversed_charge(kind: &str, object: EventObject) -> Option<String> {
    match kind {
        "charge.refunded" if object.refunded == Some(true) => object.id,
        "charge.dispute.closed" if object.status.as_deref() == Some("lost") => {
            object.charge.map(Reference::into_id)
        }
        _ => None,
    }
}

impl Billing {
    /// Logs and stores a reversal, and marks its event as processed. A dispute does not name its customer, so the customer of the
    /// charge is read from Stripe.
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
        stripe_events::set_processed_at(self.db.write(), std::slice::from_ref(&event.id), Some(now)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn charge(kind: &str, object: Value) -> Option<String> {
        reversed_charge(kind, serde_json::from_value(object).unwrap())
    }

    #[test]
    fn full_refund_and_lost_dispute_reverse_their_charge() {
        let refund = json!({"id": "ch_1", "customer": "cus_1", "refunded": true});
        assert_eq!(charge("charge.refunded", refund).as_deref(), Some("ch_1"));
        for reference in [json!("ch_1"), json!({"id": "ch_1", "object": "charge"})] {
            let dispute = json!({"id": "dp_1", "status": "lost", "charge": reference});
            assert_eq!(charge("charge.dispute.closed", dispute).as_deref(), Some("ch_1"));
        }
    }

    #[test]
    fn partial_refund_won_dispute_and_open_dispute_reverse_nothing() {
        assert_eq!(charge("charge.refunded", json!({"id": "ch_1", "refunded": false})), None);
        for (kind, status) in [
            ("charge.dispute.closed", "won"),
            ("charge.dispute.closed", "warning_closed"),
            ("charge.dispute.created", "lost"),
        ] {
            assert_eq!(
                charge(kind, json!({"id": "dp_1", "status": status, "charge": "ch_1"})),
                None,
                "{kind} {status}"
            );
        }
    }
}
