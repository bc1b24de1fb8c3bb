//! HTTP: routes, limits of connections and requests, and the transports of GraphQL operations.
//!
//! ```text
//!  serve ──► connection ──► router ─┬─► graphql ──► socket
//!  (peers)   (backlog)      (host,  ├─► my_data, chatroom_export, playground, health
//!                            cors,  └─► stripe_webhook
//!                            limits,
//!                            body)
//! ```
//!
//! Modules in parentheses belong to the stage above them. [`api`] holds the services that the handlers use, and [`rejection`]
//! builds the GraphQL responses to rejected requests.

mod api;
mod backlog;
mod body;
mod budget;
mod chatroom_export;
mod connection;
mod cors;
mod forwarded;
mod graphql;
mod headers;
mod health;
mod host;
mod json;
mod limits;
mod metrics;
mod my_data;
mod params;
mod peers;
mod playground;
mod rejection;
mod router;
mod serve;
mod socket;
mod stripe_webhook;

pub use api::Api;
pub use health::Health;
pub use metrics::{MetricsSources, metrics_router};
pub use router::router;
pub use serve::serve;
