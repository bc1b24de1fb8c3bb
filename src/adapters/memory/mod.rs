//! Adapters that keep their data in the memory of one process, with the semantics of the Redis adapters.

mod cache;
mod rate_limit;
mod reply_log;
mod signals;

pub use cache::MemoryCache;
pub use rate_limit::MemoryRateLimit;
pub use reply_log::MemoryReplyLog;
pub use signals::MemorySignals;
