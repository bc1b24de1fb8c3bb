//! Rate limits. Events are counted across all processes that share the limits.

use std::time::Duration;

use async_trait::async_trait;

use super::Unavailable;

/// At most `max` events in any `window`, for the subject that `key` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    pub key: String,
    pub max: u32,
    pub window: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted. `remaining` further events are allowed now under the tightest of the limits.
    Allowed { remaining: u32 },
    /// Not counted. All limits allow an event after `retry_after`.
    Rejected { retry_after: Duration },
}

#[async_trait]
pub trait RateLimit: Send + Sync {
    /// Counts one event under all `limits`, or under none if one of them is reached.
    async fn take(&self, limits: &[Limit]) -> Result<Verdict, Unavailable>;
}
