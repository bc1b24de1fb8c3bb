//! Receives the whole body of a request before its handler runs.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::rejection::body_too_long;

/// The maximum size of a request body, in bytes. The longest message of a user is 375 KiB if every character is escaped.
pub(super) const MAX_BODY: usize = 512 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives the whole body of a request.
///
/// # Errors
/// The response if the body is too long, incomplete or too slow.
pub(super) async fn receive_whole_body(request: Request) -> Result<Request, Response> {
    let (parts, body) = request.into_parts();
    let length = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if length > MAX_BODY {
        return Err(body_too_long(length, MAX_BODY));
    }
    let reject = |status, message: String| (status, message + "\n").into_response();
    match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, Body::from(body))),
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
            Err(body_too_long(MAX_BODY + 1, MAX_BODY))
        }
        Ok(Err(_)) => Err(reject(StatusCode::BAD_REQUEST, "The body is incomplete.".to_owned())),
        Err(_) => {
            let message = format!("The body was not received within {BODY_TIMEOUT:?}.");
            Err(reject(StatusCode::REQUEST_TIMEOUT, message))
        }
    }
}
