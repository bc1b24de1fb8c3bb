//! How much text an answer may hold: what is asked for in few words may be long.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_graphql::{
    Error, ErrorExtensions, Response, ServerResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo},
};

use super::error::at;

/// In bytes.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// A value that is no text, with the signs around it.
const OTHER: usize = 8;

pub(super) struct AnswerSize;

impl ExtensionFactory for AnswerSize {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Said::default())
    }
}

#[derive(Default)]
struct Said(AtomicUsize);

#[async_trait::async_trait]
impl Extension for Said {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        // Each event of a subscription is an answer by itself.
        self.0.store(0, Ordering::Relaxed);
        next.run(ctx, operation_name).await
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let path = *info.path_node;
        let name = info.alias.unwrap_or(info.name).len();
        let resolved = next.run(ctx, info).await?;
        let value = match &resolved {
            Some(Value::String(text)) => text.len(),
            _ => OTHER,
        };
        let bytes = name + value;
        if self.0.fetch_add(bytes, Ordering::Relaxed) + bytes > LONGEST_ANSWER {
            let message =
                format!("The answer would be longer than {LONGEST_ANSWER} bytes: ask for less at once.");
            let error = Error::new(message).extend_with(|_, extensions| {
                extensions.set("code", "QUERY_TOO_COMPLEX");
                extensions.set("limit", "answer");
                extensions.set("max", LONGEST_ANSWER);
            });
            return Err(at(&path, error));
        }
        Ok(resolved)
    }
}
