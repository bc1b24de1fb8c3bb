//! The rate limit of mutations. Each mutation of a document counts, and so does each `checkoutStatus`.

use std::time::Duration;

use super::context::RequestContext;
use crate::{
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
};

const WINDOW: Duration = Duration::from_mins(1);

/// The limits of mutations a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct MutationLimits {
    pub(super) user: u32,
    /// For all signed-in users of one address.
    pub(super) address: u32,
    /// For all callers of one address who are not signed in.
    pub(super) anonymous: u32,
}

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
    let all = match context.identity {
        Ok(viewer) => vec![
            limit(format!("mutation:user:{}", viewer.user), quota),
            limit(format!("mutation:address:{network}"), max.address),
        ],
        Err(_) => vec![limit(format!("mutation:anonymous:{network}"), quota)],
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
