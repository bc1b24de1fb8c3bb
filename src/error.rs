//! What can go wrong in a use case, as its caller needs to know it.
//!
//! The variants are the codes of the API. A fault of ours keeps its cause for the log and shows a client none of it.

use chrono::{DateTime, Utc};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Has no `Display` on purpose: nothing can turn it into text for a client but the mapping at the boundary.
#[derive(Debug)]
pub enum Error {
    /// No token, or one that is expired, revoked or not ours.
    Unauthenticated(&'static str),
    /// Absent or someone else's; the two look the same. Says what was looked for.
    NotFound(&'static str),
    /// A value out of its limits.
    BadInput { field: &'static str, message: String },
    /// The request contradicts the state of what it is about.
    Conflict(String),
    /// The one-time password is wrong, used, expired or unknown.
    OtpInvalid { attempts_left: u32 },
    /// Too many calls; another may succeed after so many seconds.
    RateLimited { retry_after_secs: u64 },
    /// The request holds more than `max` of what `limit` names.
    TooMuch { limit: &'static str, max: usize },
    /// The day's prompts are used.
    QuotaExceeded { limit: i32, used: i32, resets_at: DateTime<Utc>, upgradeable: bool },
    /// These settings are missing for it.
    BillingNotConfigured(Vec<&'static str>),
    /// There is a subscription already.
    AlreadySubscribed,
    /// The payment provider refused, or does not answer. The cause is for the log.
    PaymentProvider(anyhow::Error),
    /// Ours.
    Internal(anyhow::Error),
}

impl Error {
    /// A value out of its limits: `message` names the limit.
    pub fn bad_input(field: &'static str, message: impl Into<String>) -> Self {
        Self::BadInput { field, message: message.into() }
    }
}

impl Error {
    /// Too many calls, until so much later.
    #[must_use]
    pub fn rate_limited(retry_after: std::time::Duration) -> Self {
        let begun_second = u64::from(retry_after.subsec_nanos() > 0);
        Self::RateLimited { retry_after_secs: retry_after.as_secs() + begun_second }
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self::Internal(cause)
    }
}

impl From<sea_orm::DbErr> for Error {
    fn from(cause: sea_orm::DbErr) -> Self {
        Self::Internal(anyhow::Error::new(cause).context("database"))
    }
}
