//! Executes the operations of every transport. Of the schema, it knows only the root types, the field `checkoutStatus`, which
//! counts against the rate limit of mutations, and the fields of events with new text of a reply (`delta`).
//!
//! ```text
//!  text ──► tokens ──► document ──► variables ──► normalize ──► async-graphql ──► shape ──► response
//!           counted    parsed,      coerced       one operation without           null propagation
//!                      validated                  fragments, variables and        and field order
//!                                                 directives, its cost limited
//! ```
//!
//! For an accepted document, the results of the steps that do not depend on variables are kept (`prepared_documents`), so a
//! repeated document skips these steps. The response to a query of a user's list of chatrooms is kept, too: as long as the list
//! has not changed, a repeated query receives this response without execution (`cached_responses`).
//!
//! async-graphql only resolves fields. The steps before and after it implement document validation, variables, fragments,
//! directives, field merging and null propagation as the GraphQL specification requires. Each step takes time linear in the
//! size of the previous step's output, except normalization: it visits a fragment in each selection set that spreads the
//! fragment, and the number of visits is limited.

mod access;
mod arguments;
mod batching;
mod cached_responses;
pub mod context;
mod delta;
mod document;
pub mod error;
pub mod error_code;
pub mod event;
mod execute;
mod limits;
pub mod loaders;
mod memory;
mod mutation_rate;
mod normalize;
pub mod paging;
mod persisted_queries;
mod positions;
mod prepared_documents;
mod resolve;
mod serialization;
mod shape;
pub mod subscription;
mod tokens;
mod variables;

#[cfg(test)]
mod tests;

pub use cached_responses::CacheableFields;
pub use execute::{Executor, Prepared, Services};
pub use limits::limit_exceeded;
pub use memory::MemoryOwner;
pub use mutation_rate::MutationRate;
pub use persisted_queries::DocumentStore;
pub use serialization::{SerializedResponse, append_json, is_rejected};
