//! The traits through which the domain uses external systems, and their errors. The adapters implement the traits.

pub mod cache;
pub mod model;
pub mod otp_sender;
pub mod payments;
pub mod rate_limit;
pub mod reply_log;
pub mod signals;

/// The store behind a port is unavailable. It contains only signals, copies of data, and the counts of rate limits, so most
/// callers continue without it. A call that must be counted, such as one that sends a code, fails.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    pub what: &'static str,
    #[source]
    pub cause: anyhow::Error,
}
