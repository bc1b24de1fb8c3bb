//! HTTP: routes, limits of connections and requests, and the transports of GraphQL operations.
//!
//! ```text
//!  serve ──► connection ──► router ─┬─► graphql ──► socket
//!  (peers)   (backlog)      (host,  ├─► my_data, page, health
//!                            cors,  └─► stripe_webhook
//!                            body)
//! ```
//!
//! All handlers use [`api`] and reject requests with [`rejection`].

mod api;
mod backlog;
mod body;
mod budget;
mod connection;
mod cors;
mod forwarded;
mod graphql;
mod headers;
mod health;
mod host;
mod json;
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
pub use router::router;
pub use serve::serve;
