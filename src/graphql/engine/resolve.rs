//! Enforces limits while async-graphql resolves an operation: the rate limit of mutations, the number of resolved fields, and the
//! size of the response. Before that, it skips the validation of async-graphql.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::{
    CacheControl, ServerError, ServerResult, ValidationResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, NextValidation, ResolveInfo},
};

use super::{
    context::RequestContext,
    error::error_at,
    mutation_rate::{self, MutationLimits},
};
use crate::{
    error::{Error, LimitExceeded, RequestLimit, Result},
    ports::rate_limit::RateLimit,
};

/// The maximum number of fields that an operation resolves. The limits of documents keep most operations far below it; it matters
/// if a list has more items than those limits assume.
const MAX_FIELDS: usize = 10_000;
/// The maximum number of introspection fields that an operation resolves.
const MAX_INTROSPECTION_FIELDS: usize = 100_000;
/// The assumed size of a value other than a string, with its punctuation, in bytes.
const OTHER_VALUE_BYTES: usize = 8;

/// The extension of async-graphql that creates the counters of each operation.
pub(super) struct Resolve {
    pub(super) limits: Arc<dyn RateLimit>,
    pub(super) max: MutationLimits,
}

impl ExtensionFactory for Resolve {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(OperationCounters {
            limits: self.limits.clone(),
            max: self.max,
            fields: AtomicUsize::new(0),
            introspection_fields: AtomicUsize::new(0),
        })
    }
}

/// The counters of one operation.
struct OperationCounters {
    limits: Arc<dyn RateLimit>,
    max: MutationLimits,
    fields: AtomicUsize,
    introspection_fields: AtomicUsize,
}

impl OperationCounters {
    /// Counts a field before it is resolved.
    async fn count(&self, context: &RequestContext, info: &ResolveInfo<'_>) -> Result<()> {
        let (fields, max) = if info.is_for_introspection {
            (&self.introspection_fields, MAX_INTROSPECTION_FIELDS)
        } else {
            (&self.fields, MAX_FIELDS)
        };
        if fields.fetch_add(1, Ordering::Relaxed) >= max {
            let limit = RequestLimit::FieldsResolved;
            return Err(Error::LimitExceeded(LimitExceeded { limit, count: max + 1, max }));
        }
        // `checkoutStatus` counts as a mutation, because the status of an open checkout is read from Stripe.
        let is_rate_limited =
            info.parent_type == "Mutation" || (info.parent_type == "Query" && info.name == "checkoutStatus");
        if is_rate_limited { mutation_rate::count(&*self.limits, self.max, context).await } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Extension for OperationCounters {
    /// Skips async-graphql's validation: the document has been validated before it was normalized, and its complexity, depth and
    /// cache control, which validation would compute, are not used.
    async fn validation(
        &self,
        _: &ExtensionContext<'_>,
        _: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        Ok(ValidationResult { cache_control: CacheControl::default(), complexity: 0, depth: 0 })
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let context = ctx.data_unchecked::<RequestContext>();
        let path = *info.path_node;
        let reject = |error: Error| Err(error_at(&path, error.into()));
        if let Err(error) = self.count(context, &info).await {
            return reject(error);
        }
        let key_bytes = info.alias.unwrap_or(info.name).len();
        let resolved = next.run(ctx, info).await?;
        let value_bytes = match &resolved {
            Some(Value::String(text)) => text.len(),
            _ => OTHER_VALUE_BYTES,
        };
        match context.memory.count_response(key_bytes + value_bytes) {
            Ok(()) => Ok(resolved),
            Err(error) => reject(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Request, Schema};

    use super::*;
    use crate::{
        domain::auth::Caller,
        graphql::engine::memory::{Memory, MemoryOwner},
        ports::{
            Unavailable,
            rate_limit::{Limit, Verdict},
        },
    };

    struct NoRateLimit;

    #[async_trait::async_trait]
    impl RateLimit for NoRateLimit {
        async fn take(&self, _: &[Limit]) -> std::result::Result<Verdict, Unavailable> {
            Ok(Verdict::Allowed { remaining: u32::MAX })
        }
    }

    struct Query;

    #[Object]
    impl Query {
        async fn numbers(&self, count: i32) -> Vec<i32> {
            (0..count).collect()
        }
    }

    #[tokio::test]
    async fn the_fields_that_an_operation_resolves_are_limited() {
        let max = MutationLimits { user: 1, address: 1, anonymous: 1 };
        let schema = Schema::build(Query, EmptyMutation, EmptySubscription);
        let schema = schema.extension(Resolve { limits: Arc::new(NoRateLimit), max }).finish();
        let execute = async |count: i32| {
            let context = RequestContext {
                identity: Err("anonymous"),
                caller: Caller {
                    address: std::net::Ipv4Addr::LOCALHOST.into(),
                    user_agent: None,
                    is_forwarded: false,
                },
                request_id: "request".into(),
                trace_parent: None,
                transport: None,
                resume_after: None,
                mutation_rate: crate::graphql::engine::context::LatestMutationRate::default(),
                memory: Memory::default().request(MemoryOwner::Network(std::net::Ipv4Addr::LOCALHOST.into())),
                permits: Arc::default(),
            };
            let request = Request::new(format!("{{ numbers(count: {count}) }}")).data(context);
            schema.execute(request).await
        };
        // The list itself counts as a field, too.
        assert!(execute(9_999).await.is_ok());
        let rejected = execute(10_000).await;
        let extensions = rejected.errors[0].extensions.as_ref().unwrap();
        assert_eq!(extensions.get("limit"), Some(&"fields resolved".into()));
        let message = "Resolved field count of at least 10001 exceeds the maximum of 10000.";
        assert_eq!(rejected.errors[0].message, message);
    }
}
