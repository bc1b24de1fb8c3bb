//! The codes of errors in `extensions.code`. [docs/errors.md](../../../docs/errors.md) describes each; a test compares the two.

use async_graphql::Value;

macro_rules! codes {
    ($($name:ident = $code:literal,)+) => {
        /// The kind of an error, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $($name,)+
        }

        impl ErrorCode {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

codes! {
    Unauthenticated = "UNAUTHENTICATED",
    Forbidden = "FORBIDDEN",
    NotFound = "NOT_FOUND",
    BadUserInput = "BAD_USER_INPUT",
    Conflict = "CONFLICT",
    OtpInvalid = "OTP_INVALID",
    RateLimited = "RATE_LIMITED",
    QuotaExceeded = "QUOTA_EXCEEDED",
    BillingNotConfigured = "BILLING_NOT_CONFIGURED",
    AlreadySubscribed = "ALREADY_SUBSCRIBED",
    PaymentProviderError = "PAYMENT_PROVIDER_ERROR",
    GraphqlParseFailed = "GRAPHQL_PARSE_FAILED",
    GraphqlValidationFailed = "GRAPHQL_VALIDATION_FAILED",
    QueryTooComplex = "QUERY_TOO_COMPLEX",
    PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND",
    PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED",
    PersistedQueryOnly = "PERSISTED_QUERY_ONLY",
    InternalServerError = "INTERNAL_SERVER_ERROR",
}

impl From<ErrorCode> for Value {
    fn from(code: ErrorCode) -> Self {
        code.as_str().into()
    }
}
