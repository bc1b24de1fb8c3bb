//! Adapters that keep their data in Redis or Valkey, on one server or a cluster that all processes share.
//!
//! ```text
//!  reply log ──┐                       ┌── link: one connection, reconnects with backoff ──► Redis
//!  signals ────┼── hub: subscribers ◄──┤
//!  cache ──────┤    by channel         └── commands; fail at once while there is no connection
//!  limits ─────┘
//! ```
//!
//! The keys and channels of one reply, chatroom, user or session share a hash tag, so that they are in one cluster slot:
//! `pollux:{<id>}:…`. All rate limits share the tag `{limits}`, because one script counts an event under several of them. The
//! cache's keys have no tag, because in a cluster no command uses two of them.

mod cache;
mod hub;
mod link;
mod rate_limit;
mod reply_log;
mod server;
mod signals;
mod version_reads;

pub use cache::RedisCache;
pub use link::Link;
pub use rate_limit::RedisRateLimit;
pub use reply_log::RedisReplyLog;
pub use signals::RedisSignals;
