//! An object of which nothing was selected is `{}`, as the
//! [specification](https://spec.graphql.org/draft/#sec-Executing-Selection-Sets) has it: `replyStream { ... on ReplyDelta
//! { text } }` of an event that is no delta. async-graphql 7 answers null, even where the schema says that there is none.

use std::sync::Arc;

use async_graphql::{
    ServerResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo},
};

pub(super) struct EmptyObjects;

impl ExtensionFactory for EmptyObjects {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for EmptyObjects {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let never_null = info.return_type.ends_with('!');
        match next.run(ctx, info).await? {
            Some(Value::Null) | None if never_null => {
                Ok(Some(Value::Object(async_graphql::indexmap::IndexMap::new())))
            }
            value => Ok(value),
        }
    }
}
