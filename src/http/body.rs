//! The body of a request, which is read before anything is done about it.

use std::{error::Error, time::Duration};

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use super::{graphql::too_long, router::LONGEST_BODY};

const BODY_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > LONGEST_BODY as u64 {
        return too_long(LONGEST_BODY);
    }
    let refused = |status, message: String| (status, message + "\n").into_response();
    match timeout(BODY_WITHIN, to_bytes(body, LONGEST_BODY)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
            too_long(LONGEST_BODY)
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "The body broke off.".to_owned()),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, format!("A body must come within {BODY_WITHIN:?}.")),
    }
}
