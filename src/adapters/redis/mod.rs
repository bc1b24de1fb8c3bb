//! The ports over Redis or Valkey, one server or a cluster, shared by all processes.
//!
//! ```text
//!  reply log ──┐                       ┌── link: one connection, made anew when it breaks ──► Redis
//!  signals ────┼── hub: who listens ◄──┤
//!  cache ──────┤    to which channel   └── commands; refused at once while there is no connection
//!  limits ─────┘
//! ```
//!
//! Everything about one reply, room, user or session is under its id's hash tag, so that a cluster keeps it together:
//! `pollux:{<id>}:…`. Rate limits that are taken together share one tag.

mod cache;
mod hub;
mod link;
mod rate_limit;
mod reply_log;
mod server;
mod signals;

pub use cache::RedisCache;
pub use link::Link;
pub use rate_limit::RedisRateLimit;
pub use reply_log::RedisReplyLog;
pub use signals::RedisSignals;
