//! No rate limits, for load tests (`RATE_LIMITS=off`).

use async_trait::async_trait;

use crate::ports::{
    Unavailable,
    rate_limit::{Limit, RateLimit, Verdict},
};

#[derive(Debug)]
pub struct NoRateLimit;

#[async_trait]
impl RateLimit for NoRateLimit {
    async fn take(&self, limits: &[Limit]) -> Result<Verdict, Unavailable> {
        Ok(Verdict::Allowed { remaining: limits.iter().map(|limit| limit.max).min().unwrap_or(u32::MAX) })
    }
}
