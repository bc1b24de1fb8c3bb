//! The operations of the API, one file for each feature. A resolver parses input into the domain's types, calls a use case and
//! returns its result as types of the API.

mod accounts;
mod billing;
mod chatrooms;
mod messages;
mod nodes;
mod passwords;
mod profile;
mod search;
mod shares;
mod subscriptions;

use async_graphql::MergedObject;

use crate::graphql::engine::CacheableFields;

pub use profile::MY_DATA;
pub use subscriptions::Subscription;

/// The fields whose values depend only on their arguments and the user's list of chatrooms. Responses that contain only these
/// fields may be cached, because every change of such a value increments the version of the list.
pub const CACHEABLE: CacheableFields = &[
    ("Query", &["chatrooms"]),
    ("ChatroomConnection", &["edges", "nodes", "pageInfo", "totalCount"]),
    ("ChatroomEdge", &["cursor", "node"]),
    ("PageInfo", &["hasPreviousPage", "hasNextPage", "startCursor", "endCursor"]),
    (
        "Chatroom",
        &[
            "id",
            "title",
            "hasGeneratedTitle",
            "systemInstruction",
            "model",
            "generation",
            "createdAt",
            "updatedAt",
            "pinnedAt",
            "archivedAt",
            "isTemporary",
        ],
    ),
    ("GenerationSettings", &["temperature", "topP", "maxOutputTokens", "thinkingBudget"]),
];

/// Operations that read.
#[derive(MergedObject, Default)]
pub struct Query(
    accounts::AccountQueries,
    profile::ProfileQueries,
    chatrooms::ChatroomQueries,
    nodes::NodeQueries,
    search::SearchQueries,
    shares::ShareQueries,
    billing::BillingQueries,
);

/// Operations that change something. Each counts against the caller's rate limit and returns RATE_LIMITED above it.
#[derive(MergedObject, Default)]
pub struct Mutation(
    accounts::AccountMutations,
    passwords::PasswordMutations,
    profile::ProfileMutations,
    chatrooms::ChatroomMutations,
    messages::MessageMutations,
    shares::ShareMutations,
    billing::BillingMutations,
);
