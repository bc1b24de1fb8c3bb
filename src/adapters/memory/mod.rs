//! The ports in one process's memory, with the semantics of the Redis adapters.

mod cache;
mod rate_limit;
mod reply_log;
mod signals;

pub use cache::MemoryCache;
pub use rate_limit::MemoryRateLimit;
pub use reply_log::MemoryReplyLog;
pub use signals::MemorySignals;
