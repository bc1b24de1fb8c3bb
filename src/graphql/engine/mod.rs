//! Executes the operations of every transport. Knows no type or field of the schema.
//!
//! ```text
//!  text ──► tokens ──► document ──► variables ──► normalize ──► async-graphql ──► shape ──► response
//!           counted    parsed,      coerced       one operation without           null propagation
//!                      validated                  fragments, variables and        and field order
//!                                                 directives, its cost limited
//! ```
//!
//! An accepted document is kept up to the step that depends on variables (`prepared_documents`), so a repeated one starts there.
//! A repeated query of a user's list of chatrooms ends there, too, if the list has not changed (`cached_responses`).
//!
//! async-graphql only resolves fields. Document validation, variables, fragments, directives, field merging and null
//! propagation follow the GraphQL specification here, before and after it. Each step takes time linear in the output of the
//! step before it.

mod cached_responses;
pub mod context;
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
