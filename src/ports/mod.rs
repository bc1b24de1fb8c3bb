//! What the rules need from the world: small traits, each with its errors, filled by the adapters.

pub mod cache;
pub mod model;
pub mod otp_sender;
pub mod payments;
pub mod rate_limit;
pub mod reply_log;
pub mod signals;

/// The store behind a port does not answer. What it holds is a hint or a copy, so its callers go on without it.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    pub what: &'static str,
    #[source]
    pub cause: anyhow::Error,
}
