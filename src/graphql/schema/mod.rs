//! The operations of the API, one file a feature. A resolver parses input into the domain's types, calls a use case and
//! returns its result as types of the API.

mod accounts;
mod billing;
mod chatrooms;
mod messages;
mod passwords;
mod profile;
mod subscriptions;

use async_graphql::MergedObject;

pub use profile::MY_DATA;
pub use subscriptions::Subscription;

/// Operations that read.
#[derive(MergedObject, Default)]
pub struct Query(
    accounts::AccountQueries,
    profile::ProfileQueries,
    chatrooms::ChatroomQueries,
    messages::MessageQueries,
    billing::BillingQueries,
);

/// Operations that change something. Each counts against the caller's rate limit; past it, it returns RATE_LIMITED.
#[derive(MergedObject, Default)]
pub struct Mutation(
    accounts::AccountMutations,
    passwords::PasswordMutations,
    profile::ProfileMutations,
    chatrooms::ChatroomMutations,
    messages::MessageMutations,
    billing::BillingMutations,
);
