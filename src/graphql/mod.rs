//! The API: resolvers that parse input into the domain's types, call a use case and show what came of it.

mod accounts;
mod billing;
mod chatrooms;
mod complete;
mod context;
mod error;
mod execute;
mod loaders;
mod messages;
mod paging;
mod subscriptions;
mod types;
mod wire;

use async_graphql::{MergedObject, Schema as GraphqlSchema, SchemaBuilder};

pub use context::{Identity, Place, RequestContext};
pub use error::rejection;
pub use execute::{Executor, operation_type};
pub use wire::{Wire, is_refused};

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    accounts::AccountQueries,
    chatrooms::ChatroomQueries,
    messages::MessageQueries,
    billing::BillingQueries,
);

/// What can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    accounts::AccountMutations,
    chatrooms::ChatroomMutations,
    messages::MessageMutations,
    billing::BillingMutations,
);

pub type Schema = GraphqlSchema<Query, Mutation, subscriptions::Subscription>;

fn builder() -> SchemaBuilder<Query, Mutation, subscriptions::Subscription> {
    GraphqlSchema::build(Query::default(), Mutation::default(), subscriptions::Subscription)
        .extension(complete::Completeness)
        .limit_depth(12)
        .limit_complexity(2000)
}

/// The schema in its own language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}
