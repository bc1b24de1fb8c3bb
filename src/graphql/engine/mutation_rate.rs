//! The rate limit of mutations. Each mutation of a document counts, and so does each `checkoutStatus`.

use std::time::Duration;

use super::context::RequestContext;
use crate::{
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
};

const WINDOW: Duration = Duration::from_mins(1);
const MAX_PER_USER: u32 = 120;
/// For all signed-in users of one network.
const MAX_PER_NETWORK: u32 = 600;
/// For all anonymous callers of one network.
const MAX_PER_ANONYMOUS_NETWORK: u32 = 60;

/// The caller's rate limit of mutations, for the `RateLimit` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutationRate {
    pub quota: u32,
    pub window: Duration,
    pub remaining: u32,
    /// The time until the next mutation is accepted; none if the latest mutation was accepted.
    pub reset: Option<Duration>,
}

/// Counts one mutation. If the counter is unavailable, the mutation is allowed. A use case that must not run without a limit
/// checks a limit of its own.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn count(limits: &dyn RateLimit, context: &RequestContext) -> Result<()> {
    let network = context.caller.network();
    let limit = |key, max| Limit { key, max, window: WINDOW };
    let (all, quota) = match context.identity {
        Ok(viewer) => (
            vec![
                limit(format!("mutation:user:{}", viewer.user), MAX_PER_USER),
                limit(format!("mutation:address:{network}"), MAX_PER_NETWORK),
            ],
            MAX_PER_USER,
        ),
        Err(_) => (
            vec![limit(format!("mutation:anonymous:{network}"), MAX_PER_ANONYMOUS_NETWORK)],
            MAX_PER_ANONYMOUS_NETWORK,
        ),
    };
    let rate = |remaining, reset| MutationRate { quota, window: WINDOW, remaining, reset };
    match limits.take(&all).await {
        // Rate limits are off.
        Ok(Verdict::Allowed { remaining: u32::MAX }) => Ok(()),
        Ok(Verdict::Allowed { remaining }) => {
            context.mutation_rate.set(rate(remaining, None));
            Ok(())
        }
        Ok(Verdict::Rejected { retry_after }) => {
            context.mutation_rate.set(rate(0, Some(retry_after)));
            Err(Error::rate_limited(retry_after))
        }
        Err(unavailable) => {
            tracing::debug!(error = %unavailable, "mutation not counted: rate limit unavailable");
            Ok(())
        }
    }
}
