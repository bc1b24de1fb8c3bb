//! Converts errors to the form that clients receive: a code and further extensions for programs, and a message for people.

use std::sync::Arc;

use async_graphql::{
    Error as GraphqlError, ErrorExtensionValues, PathSegment, Pos, QueryPathNode, QueryPathSegment, Response,
    ServerError,
};

use super::error_code::ErrorCode;
use crate::error::{Error, QuotaKind};

/// The message of every internal error. The cause is in the log.
pub const INTERNAL_ERROR: &str = "Internal error.";

/// The cause of an internal error or of an error of the payment provider, for the log.
struct Cause(anyhow::Error);

impl From<Error> for GraphqlError {
    fn from(error: Error) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        let mut source: Option<Arc<dyn std::any::Any + Send + Sync>> = None;
        let (code, message) = match error {
            Error::Unauthenticated(reason) => (ErrorCode::Unauthenticated, reason.to_owned()),
            Error::Forbidden(message) => (ErrorCode::Forbidden, message),
            Error::NotFound(object) => {
                (ErrorCode::NotFound, format!("The {object} does not exist, or it is not yours."))
            }
            Error::BadInput { field, message } => {
                extensions.set("field", field);
                (ErrorCode::BadUserInput, message)
            }
            Error::Conflict(message) => (ErrorCode::Conflict, message),
            Error::OtpInvalid { attempts_left } => {
                extensions.set("attemptsLeft", attempts_left);
                (ErrorCode::OtpInvalid, format!("The code is invalid. Attempts left: {attempts_left}."))
            }
            Error::RateLimited { retry_after_secs } => {
                extensions.set("retryAfter", retry_after_secs);
                (ErrorCode::RateLimited, format!("Too many requests. Retry in {retry_after_secs} s."))
            }
            Error::LimitExceeded(exceeded) => {
                extensions.set("limit", exceeded.limit.name());
                extensions.set("count", exceeded.count);
                extensions.set("max", exceeded.max);
                (ErrorCode::QueryTooComplex, exceeded.message())
            }
            Error::QuotaExceeded { kind, limit, used, resets_at, upgradeable } => {
                let (name, quota) = match kind {
                    QuotaKind::DailyPrompts => ("DAILY_PROMPTS", format!("daily limit of {limit} prompts")),
                    QuotaKind::DailyTokens => ("DAILY_TOKENS", format!("daily limit of {limit} tokens")),
                    QuotaKind::MonthlyTokens => {
                        ("MONTHLY_TOKENS", format!("monthly limit of {limit} tokens"))
                    }
                };
                extensions.set("quota", name);
                extensions.set("limit", limit);
                extensions.set("used", used);
                extensions.set("resetsAt", resets_at.to_rfc3339());
                extensions.set("upgradeable", upgradeable);
                (ErrorCode::QuotaExceeded, format!("The {quota} is reached."))
            }
            Error::BillingNotConfigured(missing) => {
                let missing = missing.join(", ");
                (
                    ErrorCode::BillingNotConfigured,
                    format!("Billing is not configured on this server: set {missing}."),
                )
            }
            Error::AlreadySubscribed => {
                let message = "You already have a subscription. Manage it with openBillingPortal.";
                (ErrorCode::AlreadySubscribed, message.to_owned())
            }
            Error::PaymentProvider(cause) => {
                source = Some(Arc::new(Cause(cause)));
                (
                    ErrorCode::PaymentProviderError,
                    "The request to the payment provider failed. Retry later.".to_owned(),
                )
            }
            Error::Internal(cause) => {
                source = Some(Arc::new(Cause(cause)));
                (ErrorCode::InternalServerError, INTERNAL_ERROR.to_owned())
            }
        };
        extensions.set("code", code);
        Self { message, source, extensions: Some(extensions) }
    }
}

/// The response to a request that is rejected before execution.
pub fn rejection(code: ErrorCode, message: impl Into<String>) -> Response {
    let mut error = ServerError::new(message, None);
    set_code(&mut error, code);
    Response::from_errors(vec![error])
}

/// The response to a request that failed with an error outside of an operation.
#[must_use]
pub fn failure(error: Error, request_id: &str) -> Response {
    let error = GraphqlError::from(error).into_server_error(Pos::default());
    let mut response = Response::from_errors(vec![ServerError { locations: Vec::new(), ..error }]);
    finish_errors(&mut response, request_id);
    response
}

/// The error of a rejected field, with the field's path in the response.
pub fn error_at(path: &QueryPathNode<'_>, error: GraphqlError) -> ServerError {
    // `parents` begins with the innermost parent; the path in an error begins with the root field.
    let mut nodes: Vec<_> = std::iter::once(path).chain(path.parents()).collect();
    nodes.reverse();
    let path = nodes.into_iter().map(|node| match node.segment {
        QueryPathSegment::Index(index) => PathSegment::Index(index),
        QueryPathSegment::Name(name) => PathSegment::Field(name.to_owned()),
    });
    let path = path.collect();
    let error = error.into_server_error(Pos::default());
    ServerError { locations: Vec::new(), path, ..error }
}

/// Adds missing codes to the errors of a response. If an error has a `Cause` or is internal, also adds the request id. Logs each
/// cause; no other code logs the causes of an operation's errors.
pub fn finish_errors(response: &mut Response, request_id: &str) {
    for error in &mut response.errors {
        match &error.extensions {
            Some(extensions) if extensions.get("code").is_some() => {}
            // If the error of a field has no code, async-graphql could not parse an argument of the field.
            _ if !error.path.is_empty() => set_code(error, ErrorCode::BadUserInput),
            _ => set_code(error, ErrorCode::GraphqlValidationFailed),
        }
        if let Some(Cause(cause)) = error.source.as_deref().and_then(|source| source.downcast_ref()) {
            tracing::error!(request_id, path = ?error.path, error = format!("{cause:#}"), "operation failed");
        }
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        if error.source.is_some() || code == Some(&ErrorCode::InternalServerError.into()) {
            error.extensions.get_or_insert_default().set("requestId", request_id);
        }
    }
}

fn set_code(error: &mut ServerError, code: ErrorCode) {
    error.extensions.get_or_insert_default().set("code", code);
}
