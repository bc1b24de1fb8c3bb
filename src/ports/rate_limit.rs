//! How often something may be done, counted across all processes.

use std::time::Duration;

use async_trait::async_trait;

use super::Unavailable;

/// At most `max` in any `window`, for whatever `key` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub key: String,
    pub max: u32,
    pub window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted; so many more are allowed now under the tightest of the limits.
    Allowed { remaining: u32 },
    /// Not counted anywhere; all limits allow it again after so long.
    Refused { retry_after: Duration },
}

#[async_trait]
pub trait RateLimit: Send + Sync {
    /// Counts one under all `limits`, or under none if one of them is reached.
    async fn take(&self, limits: &[Limit]) -> Result<Verdict, Unavailable>;
}
