//! The API: resolvers that parse input into the domain's types, call a use case and show what came of it.

mod accounts;
mod allowance;
mod answer_size;
mod billing;
mod chatrooms;
mod complete;
mod context;
mod error;
mod execute;
mod limits;
mod loaders;
mod messages;
mod paging;
mod passwords;
mod persisted;
mod profile;
mod subscriptions;
mod types;
mod wire;

use async_graphql::{MergedObject, Schema as GraphqlSchema, SchemaBuilder};

pub use allowance::Allowance;
pub use context::{Identity, Left, Place, RequestContext};
pub use error::{failure, rejection};
pub use execute::{Executor, Prepared};
pub use limits::too_much;
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

/// Fields, those of a page's items times the page.
const MOST_COMPLEX: usize = 2000;

pub type Schema = GraphqlSchema<Query, Mutation, subscriptions::Subscription>;

fn builder() -> SchemaBuilder<Query, Mutation, subscriptions::Subscription> {
    GraphqlSchema::build(Query::default(), Mutation::default(), subscriptions::Subscription)
        .extension(complete::Completeness)
        .extension(answer_size::AnswerSize)
        .limit_complexity(MOST_COMPLEX)
}

/// The schema in its own language, as `schema.graphql` holds it.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}
