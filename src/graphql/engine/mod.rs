//! Executes the operations of every transport. Knows only the root types of the schema, and only one field: `checkoutStatus`,
//! which counts against the rate limit of mutations.
//!
//! ```text
//!  text ──► tokens ──► document ──► variables ──► normalize ──► async-graphql ──► shape ──► response
//!           counted    parsed,      coerced       one operation without           null propagation
//!                      validated                  fragments, variables and        and field order
//!                                                 directives, its cost limited
//! ```
//!
//! The result of each step that does not depend on variables is kept for accepted documents (`prepared_documents`), so these
//! steps are skipped for a repeated document. The response to a query of a user's list of chatrooms is kept, too, and a repeated
//! query receives it without execution as long as the list has not changed (`cached_responses`).
//!
//! async-graphql only resolves fields. The steps before and after it implement document validation, variables, fragments,
//! directives, field merging and null propagation by the GraphQL specification. Each step takes time linear in the output of
//! the step before it.

mod access;
mod arguments;
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
pub use mutation_rate::MutationRate;
pub use persisted_queries::DocumentStore;
pub use serialization::{SerializedResponse, append_json, is_rejected};
