//! What Pro costs, as Stripe last returned it.

use std::sync::Arc;

use chrono::TimeDelta;
use entity::Timestamp;
use tokio::sync::Mutex;

use super::Billing;
use crate::{
    error::{Error, Result},
    ports::payments::{Cost, PaymentError, PriceSnapshot},
};

/// How long a price that Stripe returned is used before the next call.
const LIFETIME: TimeDelta = TimeDelta::hours(1);
/// How long Stripe is not called after a call that failed or found no price. A sync that needs an unknown price does not wait.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(10);

/// The configured price, as Stripe last returned it. Concurrent callers share one call to Stripe: the first holds the lock during
/// the call, and the others then find the price.
#[derive(Clone, Default)]
pub struct PriceCache(Arc<Mutex<Cached>>);

#[derive(Default)]
struct Cached {
    price: Option<PriceSnapshot>,
    /// Whether Stripe returned that the price does not exist.
    is_missing: bool,
    /// When Stripe is called the next time; none before the first call.
    refresh_at: Option<Timestamp>,
}

impl Billing {
    /// Whether users can subscribe.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.settings.missing().is_empty()
    }

    /// What Pro costs; none if billing is not configured, or if the price does not exist or has no fixed amount.
    ///
    /// # Errors
    /// [`Error::PaymentProvider`] if the price is not known and the call to Stripe fails, or has failed in the last ten seconds.
    pub async fn cost(&self) -> Result<Option<Cost>> {
        if !self.is_configured() {
            return Ok(None);
        }
        // Anonymous callers may query the cost, so their queries do not repeat a failed call at once.
        let has_failed_lately = {
            let cached = self.price.0.lock().await;
            let is_unknown = cached.price.is_none() && !cached.is_missing;
            is_unknown && cached.refresh_at.is_some_and(|time| time > self.clock.now())
        };
        if has_failed_lately {
            return Err(Error::PaymentProvider(anyhow::anyhow!("the last call for the price has failed")));
        }
        Ok(self.configured_price().await?.and_then(|price| price.cost))
    }

    /// The configured price; none if it does not exist at Stripe. If Stripe does not respond, returns the last known price. Until
    /// Stripe has returned either the price or that it does not exist, every call calls Stripe, because a sync needs the price.
    pub(super) async fn configured_price(&self) -> Result<Option<PriceSnapshot>> {
        let Some(id) = self.settings.price() else { return Ok(None) };
        let (mut cached, now) = (self.price.0.lock().await, self.clock.now());
        let is_unknown = cached.price.is_none() && !cached.is_missing;
        if is_unknown || cached.refresh_at.is_none_or(|time| time <= now) {
            match self.payments()?.price(id).await {
                Ok(price) => {
                    let refresh_at = Some(now + LIFETIME);
                    *cached = Cached { price: Some(price), is_missing: false, refresh_at };
                }
                Err(PaymentError::Missing(_)) => {
                    let refresh_at = Some(now + RETRY_AFTER);
                    *cached = Cached { price: None, is_missing: true, refresh_at };
                }
                Err(error) => {
                    cached.refresh_at = Some(now + RETRY_AFTER);
                    if cached.price.is_none() {
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "reading the price from Stripe failed; the last known one is used");
                }
            }
        }
        Ok(cached.price.clone())
    }
}
