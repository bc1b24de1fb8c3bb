//! The errors of the use cases.
//!
//! The variants correspond to the API's error codes. An internal error keeps its cause for the log; no client sees it.

use chrono::{DateTime, Utc};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Has no `Display` on purpose: only the mapping at the API's boundary turns it into text for a client.
#[derive(Debug)]
pub enum Error {
    /// The token is missing, expired, revoked or invalid.
    Unauthenticated(&'static str),
    /// It does not exist or belongs to another user; a client cannot distinguish the two. Names what was requested.
    NotFound(&'static str),
    /// An invalid value.
    BadInput { field: &'static str, message: String },
    /// The request conflicts with the state of its object.
    Conflict(String),
    /// The one-time password is wrong, used, expired or unknown.
    OtpInvalid { attempts_left: u32 },
    /// Too many calls; a retry may succeed after this many seconds.
    RateLimited { retry_after_secs: u64 },
    /// The request exceeds `max` of what `limit` names.
    TooMuch { limit: &'static str, max: usize },
    /// The daily quota is used up.
    QuotaExceeded { limit: i32, used: i32, resets_at: DateTime<Utc>, upgradeable: bool },
    /// These settings are missing.
    BillingNotConfigured(Vec<&'static str>),
    /// The user has a subscription already.
    AlreadySubscribed,
    /// The payment provider rejected the call or does not respond. The cause is for the log.
    PaymentProvider(anyhow::Error),
    /// An internal fault; the cause is for the log.
    Internal(anyhow::Error),
}

impl Error {
    /// An invalid value: `message` names the limit.
    pub fn bad_input(field: &'static str, message: impl Into<String>) -> Self {
        Self::BadInput { field, message: message.into() }
    }
}

impl Error {
    /// Too many calls; the next is allowed after `retry_after`, rounded up to seconds.
    #[must_use]
    pub fn rate_limited(retry_after: std::time::Duration) -> Self {
        let partial_second = u64::from(retry_after.subsec_nanos() > 0);
        Self::RateLimited { retry_after_secs: retry_after.as_secs() + partial_second }
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
