//! The rate limit of mutations. Each mutation field of a document counts, and so does each `checkoutStatus` field of a query.

use std::time::Duration;

use super::context::RequestContext;
use crate::{
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
};

const WINDOW: Duration = Duration::from_mins(1);

/// The maximum numbers of mutations a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct MutationLimits {
    /// For one signed-in user.
    pub(super) user: u32,
    /// For all signed-in users of one address.
    pub(super) address: u32,
    /// For all callers of one address who are not signed in.
    pub(super) anonymous: u32,
}

/// The caller's rate limit of mutations, for the `RateLimit` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MutationRate {
    /// The maximum number of mutations in a window.
    pub quota: u32,
    pub window: Duration,
    /// The number of mutations that are still allowed now.
    pub remaining: u32,
    /// The time until the next mutation is accepted; `None` if the latest mutation was accepted.
    pub reset: Option<Duration>,
}

/// Counts one mutation. If the rate limits are unavailable, the mutation is allowed; a use case that must not run without a rate
/// limit checks its own.
///
/// # Errors
/// [`Error::RateLimited`].
pub(super) async fn count(
    limits: &dyn RateLimit,
    max: MutationLimits,
    context: &RequestContext,
) -> Result<()> {
    let network = context.caller.network();
    let limit = |key, max| Limit { key, max, window: WINDOW };
    let quota = match context.identity {
        Ok(_) => max.user,
        Err(_) => max.anonymous,
    };
    let applicable = match context.identity {
        Ok(viewer) => vec![
            limit(format!("mutation:user:{}", viewer.user), quota),
            limit(format!("mutation:address:{network}"), max.address),
        ],
        Err(_) => vec![limit(format!("mutation:anonymous:{network}"), quota)],
    };
    let rate = |remaining, reset| MutationRate { quota, window: WINDOW, remaining, reset };
    match limits.take(&applicable).await {
        // The adapter has checked no limit.
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
