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

/// How long a price is used before it is read again.
const LIFETIME: TimeDelta = TimeDelta::hours(1);
/// How long after a failed call Stripe is not called again.
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(10);

/// The configured price. Callers that need it at the same time share one call of Stripe.
#[derive(Clone, Default)]
pub struct PriceCache(Arc<Mutex<Cached>>);

#[derive(Default)]
struct Cached {
    price: Option<PriceSnapshot>,
    /// Whether Stripe has no such price.
    is_missing: bool,
    /// When Stripe is called again.
    read_again_at: Option<Timestamp>,
}

impl Billing {
    /// Whether users can subscribe.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.settings.missing().is_empty()
    }

    /// What Pro costs; none if billing is not configured, or if the price has no fixed amount.
    ///
    /// # Errors
    /// [`PaymentProvider`](crate::error::Error::PaymentProvider).
    pub async fn cost(&self) -> Result<Option<Cost>> {
        if !self.is_configured() {
            return Ok(None);
        }
        // Anyone may ask, so a failed call is not repeated at once.
        let has_failed_lately = {
            let cached = self.price.0.lock().await;
            let is_unknown = cached.price.is_none() && !cached.is_missing;
            is_unknown && cached.read_again_at.is_some_and(|time| time > self.clock.now())
        };
        if has_failed_lately {
            return Err(Error::PaymentProvider(anyhow::anyhow!("the last call for the price has failed")));
        }
        Ok(self.configured_price().await?.and_then(|price| price.cost))
    }

    /// The configured price; none if Stripe has no such price. If Stripe does not respond, the last known one.
    pub(super) async fn configured_price(&self) -> Result<Option<PriceSnapshot>> {
        let Some(id) = self.settings.price() else { return Ok(None) };
        let (mut cached, now) = (self.price.0.lock().await, self.clock.now());
        let is_unknown = cached.price.is_none() && !cached.is_missing;
        if is_unknown || cached.read_again_at.is_none_or(|time| time <= now) {
            match self.payments()?.price(id).await {
                Ok(price) => {
                    let read_again_at = Some(now + LIFETIME);
                    *cached = Cached { price: Some(price), is_missing: false, read_again_at };
                }
                Err(PaymentError::Missing(_)) => {
                    let read_again_at = Some(now + RETRY_AFTER);
                    *cached = Cached { price: None, is_missing: true, read_again_at };
                }
                Err(error) => {
                    cached.read_again_at = Some(now + RETRY_AFTER);
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
