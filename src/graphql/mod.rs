//! The API: resolvers that parse input into the domain's types, call a use case and show what came of it.

mod accounts;
mod allowance;
mod billing;
mod chatrooms;
mod code;
mod context;
mod engine;
mod error;
mod loaders;
mod messages;
mod paging;
mod passwords;
mod persisted;
mod profile;
mod subscriptions;
mod types;
mod wire;

use async_graphql::{MergedObject, Schema as GraphqlSchema, SchemaBuilder, ValidationMode};

pub use allowance::Allowance;
pub use code::ErrorCode;
pub use context::{Identity, Left, Place, RequestContext, Turns};
pub use engine::{Executor, Prepared, too_much};
pub use error::{failure, rejection};
pub use persisted::Documents;
pub use profile::MY_DATA;
pub use wire::{Wire, is_refused};

/// What can be read.
#[derive(MergedObject, Default)]
pub struct Query(
    accounts::AccountQueries,
    profile::ProfileQueries,
    chatrooms::ChatroomQueries,
    messages::MessageQueries,
    billing::BillingQueries,
);

/// What can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    accounts::AccountMutations,
    passwords::PasswordMutations,
    profile::ProfileMutations,
    chatrooms::ChatroomMutations,
    messages::MessageMutations,
    billing::BillingMutations,
);

pub type Schema = GraphqlSchema<Query, Mutation, subscriptions::Subscription>;

fn builder() -> SchemaBuilder<Query, Mutation, subscriptions::Subscription> {
    // Operations come validated.
    GraphqlSchema::build(Query::default(), Mutation::default(), subscriptions::Subscription)
        .validation_mode(ValidationMode::Fast)
}

/// The schema in its own language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}
