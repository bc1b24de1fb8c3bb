//! The rules and use cases. Nothing here knows axum, async-graphql, Redis or a dialect of SQL.

pub mod auth;
pub mod billing;
pub mod chat;
mod random;
mod text;
