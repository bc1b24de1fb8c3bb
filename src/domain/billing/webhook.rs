//! What Stripe tells by webhook.

use entity::stripe_event;
use serde::Deserialize;

use super::{Billing, reversal, signature};
use crate::{
    error::{Error, Result},
    ports::{payments::PaymentError, signals::Topic},
    store::{commit, jobs, stripe_events, subscriptions},
};

/// Events that may have changed what somebody may use.
const KINDS: [&str; 13] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
];
/// The kind of the jobs that process a Stripe event.
pub const STRIPE_EVENT: &str = "stripe_event";

/// As much of an event as is the same in every version of Stripe's API.
#[derive(Deserialize)]
struct Event {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) id: Option<String>,
    customer: Option<Reference>,
    /// Of a dispute.
    pub(super) charge: Option<Reference>,
    pub(super) status: Option<String>,
    /// Of a charge: whether it has been refunded in full.
    pub(super) refunded: Option<bool>,
}

/// An object of Stripe's: by its id, or itself.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Reference {
    Id(String),
    Expanded { id: String },
}

impl Reference {
    pub(super) fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Expanded { id } => id,
        }
    }
}

impl Billing {
    /// Stores an event whose signature holds, and the job that sees to it, unless it came before. One that is not about
    /// what Pollux sells is let go.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a signature that does not hold.
    pub async fn receive(&self, body: &[u8], signature: &str) -> Result<()> {
        let secret = self
            .settings
            .webhook_secret()
            .ok_or_else(|| Error::BillingNotConfigured(vec!["STRIPE_WEBHOOK_SECRET"]))?;
        signature::verify(signature, body, secret, self.clock.now())
            .map_err(|why| Error::bad_input("Stripe-Signature", format!("Refused: {why}.")))?;
        self.accept(body).await.map(drop)
    }

    /// The event's id, if it is seen to.
    async fn accept(&self, body: &[u8]) -> Result<Option<String>> {
        let event = match serde_json::from_slice::<Event>(body) {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "a signed event cannot be read");
                return Ok(None);
            }
        };
        let Event { id: event, kind, data: Data { object } } = event;
        let (customer, charge) = if KINDS.contains(&&*kind) {
            (object.customer.map(Reference::into_id), None)
        } else {
            (None, reversal::charge(&kind, object))
        };
        // PostgreSQL does not store U+0000, and no id of Stripe's has it.
        let is_storable = [Some(&event), customer.as_ref(), charge.as_ref()]
            .into_iter()
            .flatten()
            .all(|id| !id.contains('\0'));
        if customer.is_none() && charge.is_none() || !is_storable {
            tracing::debug!(event, kind, "an event that changes nothing");
            return Ok(None);
        }
        tracing::info!(event, kind, "stripe event received");
        let id = event.clone();
        let row = stripe_event::Model {
            id: event,
            kind,
            customer_id: customer.unwrap_or_default(),
            charge_id: charge,
            received_at: self.clock.now(),
            processed_at: None,
        };
        let (stored, storing) = self.inbox.put(row);
        if let Some(storing) = storing {
            let billing = self.clone();
            // To its end, though whoever asked for it may hang up: others wait for it, too.
            self.tasks.spawn(async move {
                if let Err(error) = storing.all(&billing.db).await {
                    tracing::error!(?error, "events were not stored");
                }
                // Only now: work on them would stand in the way of those behind them.
                billing.tell(Topic::Jobs).await;
            });
        }
        stored.await.map_err(|_| anyhow::anyhow!("the event was not stored"))?;
        Ok(Some(id))
    }

    /// Processes a stored event: reads from Stripe the state of what it is about, and stores it.
    ///
    /// # Errors
    /// Stripe or the database do not respond.
    pub async fn process_event(&self, id: &str) -> Result<()> {
        while let Some(event) = stripe_events::by_id(self.db.read(), id).await?
            && event.processed_at.is_none()
        {
            if let Some(charge) = &event.charge_id {
                self.record_reversal(&event, charge).await?;
            } else if let Some(user) = subscriptions::user_of(self.db.read(), &event.customer_id).await? {
                // A concurrent read may have processed the event meanwhile: the loop checks.
                self.read_once(user).await?;
            } else {
                // A customer of another product that the same Stripe account sells.
                let now = Some(self.clock.now());
                stripe_events::mark(self.db.write(), std::slice::from_ref(&event.id), now).await?;
            }
        }
        Ok(())
    }

    /// Has events seen to once more, also such as never came, and without any, those that were given up. Says which.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that Stripe does not know or that changes nothing.
    pub async fn replay(&self, ids: Vec<String>) -> Result<Vec<String>> {
        let ids = if ids.is_empty() { stripe_events::given_up(self.db.read()).await? } else { ids };
        for id in &ids {
            if stripe_events::by_id(self.db.read(), id).await?.is_none() {
                let body = match self.payments()?.event(id).await {
                    Err(PaymentError::Missing(_)) => return Err(Error::NotFound("event")),
                    body => body?,
                };
                self.accept(&body).await?.ok_or(Error::NotFound("event about a subscription"))?;
                continue;
            }
            let tx = self.db.begin().await?;
            stripe_events::mark(&tx, std::slice::from_ref(id), None).await?;
            jobs::delete_for_events(&tx, std::slice::from_ref(id)).await?;
            jobs::insert_for_events(&tx, std::slice::from_ref(id), self.clock.now()).await?;
            commit(tx).await?;
        }
        self.tell(Topic::Jobs).await;
        Ok(ids)
    }
}
