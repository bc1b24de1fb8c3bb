//! The errors of the use cases.
//!
//! The variants correspond to the API's error codes. An internal error keeps its cause for the log; no client sees it.

use chrono::{DateTime, Utc};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a use case. It has no `Display` on purpose: only the code at the API's boundary turns it into text for clients.
#[derive(Debug)]
pub enum Error {
    /// The token is missing, expired, revoked or invalid, the password is wrong, or the account was deleted.
    Unauthenticated(&'static str),
    /// The user's tier does not allow the request. Contains a message that states what is required.
    Forbidden(String),
    /// The object does not exist or belongs to another user; a client cannot distinguish the two. Contains the type of the
    /// object, such as `chatroom`.
    NotFound(&'static str),
    /// An invalid value.
    BadInput { field: &'static str, message: String },
    /// The request conflicts with the state of its object.
    Conflict(String),
    /// The one-time password is wrong, used, expired or unknown.
    OtpInvalid { attempts_left: u32 },
    /// There were too many calls; a retry may succeed after this many seconds.
    RateLimited { retry_after_secs: u64 },
    /// The request exceeds a limit, such as one on the size of its document, its body or its response.
    LimitExceeded(LimitExceeded),
    /// A quota is used up.
    QuotaExceeded { kind: QuotaKind, limit: i64, used: i64, resets_at: DateTime<Utc>, upgradeable: bool },
    /// Billing is not configured. Contains the names of the missing settings.
    BillingNotConfigured(Vec<&'static str>),
    /// The user has a subscription already.
    AlreadySubscribed,
    /// The payment provider rejected the call or does not respond. The cause is for the log.
    PaymentProvider(anyhow::Error),
    /// An internal fault; the cause is for the log.
    Internal(anyhow::Error),
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    DailyPrompts,
    DailyTokens,
    MonthlyTokens,
}

/// A limit that a request exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    pub limit: RequestLimit,
    /// The value that the request has. If counting stops at the limit, the value at which it stopped.
    pub count: usize,
    pub max: usize,
}

/// The property of a request that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestLimit {
    Depth,
    IntrospectionDepth,
    IntrospectionLists,
    Fields,
    Aliases,
    Complexity,
    Tokens,
    Nesting,
    NameLength,
    ArgumentBytes,
    BatchSize,
    BodyBytes,
    MessageBytes,
    FieldsResolved,
    BytesRead,
    ResponseBytes,
}

impl RequestLimit {
    /// The name in `extensions.limit`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::IntrospectionDepth => "introspection depth",
            Self::IntrospectionLists => "introspection lists",
            Self::Fields => "fields",
            Self::Aliases => "aliases",
            Self::Complexity => "complexity",
            Self::Tokens => "tokens",
            Self::Nesting => "nesting",
            Self::NameLength => "name length",
            Self::ArgumentBytes => "bytes of arguments",
            Self::BatchSize => "operations of a batch",
            Self::BodyBytes => "bytes of the body",
            Self::MessageBytes => "bytes of a message",
            Self::FieldsResolved => "fields resolved",
            Self::BytesRead => "bytes read",
            Self::ResponseBytes => "answer",
        }
    }

    /// The parts of the message: what is counted, its unit, and whether counting stops at the limit.
    fn wording(self) -> (&'static str, &'static str, bool) {
        match self {
            Self::Depth => ("Query depth", "", false),
            Self::IntrospectionDepth => ("Introspection depth", "", false),
            Self::IntrospectionLists => ("Introspection list depth", "", false),
            Self::Fields => ("Query field count", "", true),
            Self::Aliases => ("Alias count", " in one selection set", false),
            Self::Complexity => ("Query complexity", "", false),
            Self::Tokens => ("Query token count", "", false),
            Self::Nesting => ("Bracket nesting", "", false),
            Self::NameLength => ("Name length", " characters", false),
            Self::ArgumentBytes => ("Argument size", " bytes", true),
            Self::BatchSize => ("Batch size", " operations", false),
            Self::BodyBytes => ("Request body size", " bytes", true),
            Self::MessageBytes => ("Message size", " bytes", true),
            Self::FieldsResolved => ("Resolved field count", "", true),
            Self::BytesRead => ("Size of the data read", " bytes", true),
            Self::ResponseBytes => ("Response size", " bytes", true),
        }
    }
}

impl LimitExceeded {
    /// The message for clients.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { limit, count, max } = self;
        let (counted, unit, is_partial) = limit.wording();
        let at_least = if is_partial { "of at least " } else { "" };
        format!("{counted} {at_least}{count} exceeds the maximum of {max}{unit}.")
    }
}

impl Error {
    /// An invalid value; `message` states what is allowed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_error_names_the_value_and_the_maximum() {
        for (limit, count, max, message) in [
            (RequestLimit::BatchSize, 11, 10, "Batch size 11 exceeds the maximum of 10 operations."),
            (
                RequestLimit::BodyBytes,
                600_000,
                524_288,
                "Request body size of at least 600000 exceeds the maximum of 524288 bytes.",
            ),
            (
                RequestLimit::MessageBytes,
                600_000,
                524_288,
                "Message size of at least 600000 exceeds the maximum of 524288 bytes.",
            ),
        ] {
            assert_eq!(LimitExceeded { limit, count, max }.message(), message);
        }
    }
}
