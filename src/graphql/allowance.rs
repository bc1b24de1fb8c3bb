//! How many mutations somebody may ask for: each is counted, also where one document holds several.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    ServerResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo},
};

use super::{RequestContext, error::at};
use crate::{
    error::Error,
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

pub(super) struct Allowances(pub(super) Arc<dyn RateLimit>);

impl ExtensionFactory for Allowances {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Count(self.0.clone()))
    }
}

struct Count(Arc<dyn RateLimit>);

#[async_trait::async_trait]
impl Extension for Count {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        // Stripe is asked for a checkout's status as often as it is asked for.
        let counts =
            info.parent_type == "Mutation" || (info.parent_type == "Query" && info.name == "checkoutStatus");
        if counts && !info.is_for_introspection {
            let context = ctx.data_unchecked::<RequestContext>();
            if let Some(refused) = take(&*self.0, context).await {
                return Err(at(info.path_node, async_graphql::Error::from(refused)));
            }
        }
        next.run(ctx, info).await
    }
}

/// Counts one. Where counts cannot be kept it is allowed: what must not be done uncounted sees to it itself.
async fn take(limits: &dyn RateLimit, context: &RequestContext) -> Option<Error> {
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
        Ok(Verdict::Allowed { remaining: u32::MAX }) => None,
        Ok(Verdict::Allowed { remaining }) => {
            context.allowance.set(left(remaining, None));
            None
        }
        Ok(Verdict::Refused { retry_after }) => {
            context.allowance.set(left(0, Some(retry_after)));
            Some(Error::rate_limited(retry_after))
        }
        Err(unavailable) => {
            tracing::debug!(error = %unavailable, "a mutation is not counted");
            None
        }
    }
}
