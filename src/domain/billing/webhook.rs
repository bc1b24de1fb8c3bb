//! Stripe's webhook events: receiving them, processing them in jobs, and replaying them for an operator.

use entity::stripe_event;

use super::{
    Billing,
    payload::{EventData, EventPayload, Reference},
    reversal::reversed_charge,
    signature,
};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::{payments::PaymentError, signals::Topic},
    store::{commit, jobs, stripe_events, subscriptions},
};

/// The types of events after which the state of a customer's subscriptions is read from Stripe.
const SYNC_EVENTS: [&str; 13] = [
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
/// The types of events that report a reversed payment.
const REVERSAL_EVENTS: [&str; 2] = ["charge.refunded", "charge.dispute.closed"];
/// The metric label of any other type of event, and of an event whose body was not parsed.
const OTHER: &str = "other";
/// The kind of the jobs that process a Stripe event.
pub const STRIPE_EVENT: &str = "stripe_event";

impl Billing {
    /// Verifies the signature of an event and stores the event with the job that processes it, unless it is stored already.
    /// Ignores an event of a type that Pollux does not use, and one that names neither a customer nor a reversed charge.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the signature is invalid, or [`Error::BillingNotConfigured`].
    pub async fn receive(&self, body: &[u8], signature: &str) -> Result<()> {
        let secret = self
            .settings
            .webhook_secret()
            .ok_or_else(|| Error::BillingNotConfigured(vec!["STRIPE_WEBHOOK_SECRET"]))?;
        if let Err(error) = signature::verify(signature, body, secret, self.clock.now()) {
            self.events.increment(OTHER, "rejected");
            return Err(Error::bad_input("Stripe-Signature", format!("Invalid signature: {error}.")));
        }
        self.store_event(body).await.map(drop)
    }

    /// Stores an event and its job, unless they are stored already, and returns the event's id; none if the event is malformed or
    /// ignored.
    async fn store_event(&self, body: &[u8]) -> Result<Option<String>> {
        let payload = match serde_json::from_slice::<EventPayload>(body) {
            Ok(payload) => payload,
            Err(error) => {
                self.events.increment(OTHER, "ignored");
                tracing::warn!(%error, "stripe event ignored: malformed body with a valid signature");
                return Ok(None);
            }
        };
        let EventPayload { id, kind, data: EventData { object } } = payload;
        let (customer, charge) = if SYNC_EVENTS.contains(&&*kind) {
            (object.customer.map(Reference::into_id), None)
        } else {
            (None, reversed_charge(&kind, object))
        };
        // PostgreSQL cannot store U+0000, and Stripe's ids do not contain it.
        let is_storable = [Some(&id), customer.as_ref(), charge.as_ref()]
            .into_iter()
            .flatten()
            .all(|id| !id.contains('\0'));
        if customer.is_none() && charge.is_none() || !is_storable {
            self.events.increment(label(&kind), "ignored");
            tracing::debug!(event = id, kind, "stripe event ignored");
            return Ok(None);
        }
        self.events.increment(label(&kind), "received");
        tracing::info!(event = id, kind, "stripe event received");
        let row = stripe_event::Model {
            id: id.clone(),
            kind,
            customer_id: customer.unwrap_or_default(),
            charge_id: charge,
            received_at: self.clock.now(),
            processed_at: None,
        };
        // Events that arrive together are stored in one batch. The first caller gets the writer; all callers wait for `stored`.
        let (stored, writer) = self.event_intake.add(row);
        if let Some(writer) = writer {
            let billing = self.clone();
            // The writer also stores the events of concurrent requests, so it must not end when Stripe closes this request. It
            // therefore has its own task.
            self.tasks.spawn(async move {
                if let Err(error) = writer.run(&billing.db).await {
                    tracing::error!(?error, "storing stripe events failed");
                }
                // The signal is sent last, so that workers do not compete with a burst that is still being stored.
                publish(&*billing.signals, &[Topic::Jobs]).await;
            });
        }
        stored.await.map_err(|_| anyhow::anyhow!("the event was not stored"))?;
        Ok(Some(id))
    }

    /// Processes a stored event: syncs its customer, or records the reversal of its charge.
    ///
    /// # Errors
    /// Stripe or the database does not respond.
    pub async fn process_event(&self, id: &str) -> Result<()> {
        while let Some(event) = stripe_events::by_id(self.db.read(), id).await?
            && event.processed_at.is_none()
        {
            let processed = self.process_once(&event).await;
            self.events.increment(label(&event.kind), if processed.is_ok() { "processed" } else { "failed" });
            processed?;
        }
        Ok(())
    }

    async fn process_once(&self, event: &stripe_event::Model) -> Result<()> {
        if let Some(charge) = &event.charge_id {
            return self.record_reversal(event, charge).await;
        }
        if let Some(user) = subscriptions::user_of(self.db.read(), &event.customer_id).await? {
            // A sync that stores its state also marks the event as processed. If a concurrent sync stored its state first, this
            // one is discarded, and the caller repeats it unless the other one has marked the event.
            return self.sync_once(user).await.map(drop);
        }
        // No user has this customer: its user was deleted, or the same Stripe account also sells another product.
        let now = Some(self.clock.now());
        Ok(stripe_events::set_processed_at(self.db.write(), std::slice::from_ref(&event.id), now).await?)
    }

    /// Queues events to be processed once more and returns their ids. An event whose webhook never arrived is fetched from
    /// Stripe. Without `ids`, queues the unprocessed events that have no job any more: every attempt failed, or an operator
    /// dropped it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an event that does not exist at Stripe or is ignored.
    pub async fn replay(&self, ids: Vec<String>) -> Result<Vec<String>> {
        let ids = if ids.is_empty() { stripe_events::without_job(self.db.read()).await? } else { ids };
        for id in &ids {
            if stripe_events::by_id(self.db.read(), id).await?.is_none() {
                let body = match self.payments()?.event(id).await {
                    Err(PaymentError::Missing(_)) => return Err(Error::NotFound("event")),
                    body => body?,
                };
                self.store_event(&body).await?.ok_or(Error::NotFound("event that Pollux uses"))?;
                continue;
            }
            let tx = self.db.begin().await?;
            stripe_events::set_processed_at(&tx, std::slice::from_ref(id), None).await?;
            jobs::delete_for_events(&tx, std::slice::from_ref(id)).await?;
            jobs::insert_for_events(&tx, std::slice::from_ref(id), self.clock.now()).await?;
            commit(tx).await?;
        }
        publish(&*self.signals, &[Topic::Jobs]).await;
        Ok(ids)
    }
}

/// The metric label of a type of event. All types that Pollux does not use share one label, because Stripe adds types, but the
/// number of labels must stay limited.
fn label(kind: &str) -> &str {
    if SYNC_EVENTS.contains(&kind) || REVERSAL_EVENTS.contains(&kind) { kind } else { OTHER }
}
