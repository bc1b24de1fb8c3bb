//! The GraphQL API.
//!
//! ```text
//!  schema (operations, one file for each feature) ──► types (objects of the API) ──► engine (runs operations)
//! ```
//!
//! An arrow means “uses”.

mod engine;
mod schema;
mod types;

use std::sync::Arc;

use async_graphql::{SDLExportOptions, Schema as GraphqlSchema, SchemaBuilder};

pub use engine::{
    DocumentStore, MemoryOwner, MutationRate, Prepared, SerializedResponse, Services, append_json,
    context::{Identity, RequestContext},
    error::{INTERNAL_ERROR, failure, rejection},
    error_code::ErrorCode,
    event::Event,
    is_rejected, limit_exceeded,
};
pub use schema::MY_DATA;
use schema::{CACHEABLE, Mutation, Query, Subscription};

pub type Schema = GraphqlSchema<Query, Mutation, Subscription>;
pub type Executor = engine::Executor<Schema>;

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    GraphqlSchema::build(Query::default(), Mutation::default(), Subscription)
}

/// Creates the executor of this schema.
///
/// # Errors
/// The schema is not valid GraphQL.
pub fn executor(
    services: Services,
    documents: DocumentStore,
    introspection: bool,
) -> anyhow::Result<Arc<Executor>> {
    Ok(Arc::new(Executor::new(builder(), services, documents, introspection, CACHEABLE)?))
}

/// The schema definition, as `schema.graphql` contains it.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl_with_options(SDLExportOptions::new().include_specified_by())
}
