//! Rules and use cases. Must not depend on axum, async-graphql, Redis or an SQL dialect.

pub mod admin;
pub mod auth;
pub mod billing;
pub mod chatrooms;
mod export_json;
pub mod models;
mod publish;
pub mod quota;
mod random;
mod read_retry;
pub mod replies;
pub mod search;
pub mod sharing;
mod text;
