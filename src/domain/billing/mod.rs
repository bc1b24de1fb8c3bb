//! Pro, and how it is paid for.
//!
//! ```text
//!  start_checkout ──► Stripe's page ──► somebody pays ──┬──► webhook ──► an event and its job, in one transaction
//!                                                       ├──► checkout_status, when people come back before it
//!                                                       └──► once an hour, for what was never told
//!                                                                │
//!                       ask: what Stripe says now ◄──────────────┘  stored only if nothing newer has been
//!                         └──► subscription, checkouts, events ──► hint: account
//! ```
//!
//! An event is a signal that something has changed, and never what has: in any order, and any number of times, events
//! lead to what Stripe says.

mod checkout;
mod customer;
mod deletion;
mod intake;
mod portal;
mod return_url;
mod reversal;
mod signature;
mod state;
mod sync;
pub mod tiers;
mod webhook;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::BillingSettings,
    error::{Error, Result},
    ports::{
        payments::{PaymentError, Payments},
        signals::{Signals, Topic},
    },
    store::Db,
};

pub use customer::{SYNC_CUSTOMER, sync_customer_job};
pub use intake::Inbox;
pub use sync::Turns;
pub use webhook::STRIPE_EVENT;

/// What Stripe puts a checkout's id in place of.
const SESSION_ID: &str = "{CHECKOUT_SESSION_ID}";

/// What the use cases of billing work with.
#[derive(Clone)]
pub struct Billing {
    pub db: Db,
    /// What is to be ended though nobody waits for it any more.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub signals: Arc<dyn Signals>,
    /// None without a key.
    pub payments: Option<Arc<dyn Payments>>,
    pub settings: BillingSettings,
    pub inbox: Inbox,
    pub turns: Turns,
    /// That the configured price is of, once it is known.
    pub product: Arc<OnceLock<String>>,
    /// How often it is looked for what Stripe should have told and has not.
    pub look_every: Duration,
}

impl Billing {
    fn payments(&self) -> Result<&dyn Payments> {
        self.payments.as_deref().ok_or_else(|| Error::BillingNotConfigured(vec!["STRIPE_SECRET_KEY"]))
    }

    /// Sends a hint after a commit. Where it is lost, those who wait for it look by themselves.
    async fn tell(&self, topic: Topic) {
        if let Err(unavailable) = self.signals.publish(topic).await {
            tracing::debug!(?topic, error = %unavailable, "a hint was not sent");
        }
    }
}

impl From<PaymentError> for Error {
    fn from(error: PaymentError) -> Self {
        Self::PaymentProvider(error.into())
    }
}
