//! How many mutations somebody may ask for: each is counted, also where one document holds several.

use std::time::Duration;

use super::RequestContext;
use crate::{
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
};

const WINDOW: Duration = Duration::from_mins(1);
const OF_A_USER: u32 = 120;
const OF_AN_ADDRESS: u32 = 600;
/// Who asks is not known.
const OF_A_STRANGERS_ADDRESS: u32 = 60;

/// What is left of it, for the `RateLimit` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub quota: u32,
    pub window: Duration,
    pub remaining: u32,
    /// After how long there is more, where there is none.
    pub reset: Option<Duration>,
}

/// Counts one mutation. Where counts cannot be kept it is allowed: a use case that must be counted checks that itself.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn take(limits: &dyn RateLimit, context: &RequestContext) -> Result<()> {
    let network = context.caller.network();
    let limit = |key, max| Limit { key, max, window: WINDOW };
    let (all, quota) = match context.identity {
        Ok(viewer) => (
            vec![
                limit(format!("mutation:user:{}", viewer.user), OF_A_USER),
                limit(format!("mutation:address:{network}"), OF_AN_ADDRESS),
            ],
            OF_A_USER,
        ),
        Err(_) => (
            vec![limit(format!("mutation:stranger:{network}"), OF_A_STRANGERS_ADDRESS)],
            OF_A_STRANGERS_ADDRESS,
        ),
    };
    let left = |remaining, reset| Allowance { quota, window: WINDOW, remaining, reset };
    match limits.take(&all).await {
        // Nothing is limited.
        Ok(Verdict::Allowed { remaining: u32::MAX }) => Ok(()),
        Ok(Verdict::Allowed { remaining }) => {
            context.allowance.set(left(remaining, None));
            Ok(())
        }
        Ok(Verdict::Refused { retry_after }) => {
            context.allowance.set(left(0, Some(retry_after)));
            Err(Error::rate_limited(retry_after))
        }
        Err(unavailable) => {
            tracing::debug!(error = %unavailable, "a mutation is not counted");
            Ok(())
        }
    }
}
