//! The ports within one process: nothing to install, the same semantics as the real ones.

mod cache;
mod rate_limit;
mod reply_log;
mod signals;

pub use cache::MemoryCache;
pub use rate_limit::MemoryRateLimit;
pub use reply_log::MemoryReplyLog;
pub use signals::MemorySignals;
