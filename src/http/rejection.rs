//! Responses to requests that are rejected before an operation is executed, or for whose actual response there is no capacity.

use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};

use crate::{
    error::{Error, LimitExceeded, RequestLimit},
    graphql::{ErrorCode, INTERNAL_ERROR, SerializedResponse, failure, limit_exceeded, rejection},
};

/// The response header that holds the id of the request in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

const UNREAD_LIMIT: &str = "The operation was executed, but too many response bytes of this connection are unread. Read them, then request less at once.";

/// The response with one GraphQL error, as JSON.
pub(super) fn reject(
    status: StatusCode,
    code: ErrorCode,
    request_id: &str,
    message: impl Into<String>,
) -> Response {
    respond(status, request_id, &rejection(code, message))
}

/// The response with the errors of a rejected request, as JSON.
pub(super) fn respond(status: StatusCode, request_id: &str, rejection: &GraphqlResponse) -> Response {
    let body = SerializedResponse(rejection).to_json();
    let mut response = (status, [(header::CONTENT_TYPE, JSON)], body).into_response();
    set_request_id(&mut response, request_id);
    set_retry_after(&mut response, &rejection.errors, None);
    response
}

/// The response to a request that failed with an error outside of an operation.
pub(super) fn from_error(error: Error) -> Response {
    let status = match &error {
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::NotFound(_) => StatusCode::NOT_FOUND,
        Error::BadInput { .. } => StatusCode::BAD_REQUEST,
        Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let request_id = new_request_id();
    respond(status, &request_id, &failure(error, &request_id))
}

/// The response to a request that is not allowed, whatever its operation is.
pub(super) fn forbidden(message: &str) -> Response {
    reject(StatusCode::FORBIDDEN, ErrorCode::Forbidden, &new_request_id(), message)
}

/// The response to a request whose handler panicked. The panic hook has logged the panic itself, without the request's id.
pub(super) fn panicked() -> Response {
    let (status, request_id) = (StatusCode::INTERNAL_SERVER_ERROR, new_request_id());
    tracing::error!(request_id, "request handler panicked");
    reject(status, ErrorCode::InternalServerError, &request_id, INTERNAL_ERROR)
}

/// The response to a request whose body is too long: it has at least `count` bytes, and at most `max` are allowed.
pub(super) fn body_too_long(count: usize, max: usize) -> Response {
    let exceeded = LimitExceeded { limit: RequestLimit::BodyBytes, count, max };
    respond(StatusCode::PAYLOAD_TOO_LARGE, &new_request_id(), &limit_exceeded(exceeded))
}

/// The error that replaces a response for which there is no capacity, because the client does not read earlier responses.
pub(super) fn unread_limit() -> GraphqlResponse {
    let mut rejection = failure(Error::RateLimited { retry_after_secs: 1 }, "");
    for error in &mut rejection.errors {
        UNREAD_LIMIT.clone_into(&mut error.message);
    }
    rejection
}

/// The HTTP response with the error [`unread_limit`].
pub(super) fn unread_limit_response() -> Response {
    respond(StatusCode::TOO_MANY_REQUESTS, &new_request_id(), &unread_limit())
}

/// Sets the header with the id by which an operator finds the request in the log.
pub(super) fn set_request_id(response: &mut Response, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Sets `Retry-After` if an error is about a rate limit or, provided that `now` is given, about a quota: to the number of seconds
/// after which the request is accepted. Of several errors, the longest wait counts.
pub(super) fn set_retry_after<'a>(
    response: &mut Response,
    errors: impl IntoIterator<Item = &'a ServerError>,
    now: Option<DateTime<Utc>>,
) {
    let seconds = errors.into_iter().filter_map(|error| {
        let extensions = error.extensions.as_ref()?;
        match (extensions.get("retryAfter"), extensions.get("resetsAt")) {
            (Some(Value::Number(seconds)), _) => seconds.as_u64(),
            (_, Some(Value::String(time))) => {
                let left = DateTime::parse_from_rfc3339(time).ok()?.to_utc() - now?;
                u64::try_from(left.num_seconds() + i64::from(left.subsec_nanos() > 0)).ok()
            }
            _ => None,
        }
    });
    if let Some(seconds) = seconds.max() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
}

fn new_request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
