//! Billing: how users buy the Pro tier, and how their subscriptions are kept in sync with Stripe.
//!
//! ```text
//!  start_checkout ──► Stripe's page ──► the user pays ──┬──► webhook ──► event and job, stored in one transaction
//!                                                       ├──► checkout_status, if the user returns before the webhook
//!                                                       └──► stale sync, once an hour, for events that did not arrive
//!                                                                │
//!                       sync: read the current state ◄───────────┘  stored unless a newer state has been stored
//!                         └──► subscription, checkouts, events ──► signal: account
//! ```
//!
//! An event only signals that something has changed. The state is always read from Stripe, so events may arrive in any order
//! and any number of times.
//!
//! This module does not know HTTP or Stripe's client library: it calls [`Payments`].

mod checkout;
mod customer;
mod deletion;
mod intake;
mod payload;
mod portal;
mod price;
mod return_url;
mod reversal;
mod signature;
mod state;
mod sync;
pub mod tiers;
mod webhook;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::BillingSettings,
    error::{Error, Result},
    ports::{
        payments::{PaymentError, Payments},
        signals::Signals,
    },
    store::Db,
    telemetry::metrics::EventCounter,
};

pub use customer::{SYNC_CUSTOMER, sync_customer_job};
pub use intake::EventIntake;
pub use price::PriceCache;
pub use sync::SyncLocks;
pub use webhook::STRIPE_EVENT;

/// The placeholder in a success URL that Stripe replaces with the id of the checkout session.
const SESSION_ID_PLACEHOLDER: &str = "{CHECKOUT_SESSION_ID}";

/// The use cases of billing, with everything that they need.
#[derive(Clone)]
pub struct Billing {
    pub db: Db,
    /// Runs work that must finish even if its caller disconnects.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub signals: Arc<dyn Signals>,
    /// None if `STRIPE_SECRET_KEY` is not set.
    pub payments: Option<Arc<dyn Payments>>,
    pub settings: BillingSettings,
    pub event_intake: EventIntake,
    pub sync_locks: SyncLocks,
    pub price: PriceCache,
    /// How often to look for users whose billing state is stale.
    pub stale_poll_interval: Duration,
    /// Counts webhook events by their type and what happened to them.
    pub events: EventCounter,
}

impl Billing {
    /// The payment provider, or [`Error::BillingNotConfigured`] if there is none.
    fn payments(&self) -> Result<&dyn Payments> {
        self.payments.as_deref().ok_or_else(|| Error::BillingNotConfigured(vec!["STRIPE_SECRET_KEY"]))
    }
}

impl From<PaymentError> for Error {
    fn from(error: PaymentError) -> Self {
        Self::PaymentProvider(error.into())
    }
}
