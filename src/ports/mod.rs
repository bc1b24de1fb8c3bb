//! The traits through which the domain uses external systems, with their errors; the adapters implement them.

pub mod cache;
pub mod model;
pub mod otp_sender;
pub mod payments;
pub mod rate_limit;
pub mod reply_log;
pub mod signals;

/// The store behind a port is unavailable. It holds only signals and copies, so callers continue without it.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    pub what: &'static str,
    #[source]
    pub cause: anyhow::Error,
}
