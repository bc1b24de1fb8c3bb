//! Answers that are one body.

use async_graphql::{Response as GraphqlResponse, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use chrono::{DateTime, Utc};

use super::{REQUEST_ID, media::Media};
use crate::graphql::{Allowance, ErrorCode, RequestContext, Wire, is_refused, rejection};

/// An operation's response.
pub(super) fn one(
    media: Media,
    context: &RequestContext,
    response: &GraphqlResponse,
    now: DateTime<Utc>,
) -> Response {
    let answer = whole(media, status(media, response), &context.request_id, Wire(response).to_json());
    let answer = with_retry_after(answer, &response.errors, Some(now));
    with_allowance(answer, context.allowance.get())
}

/// A batch's responses.
pub(super) fn many(
    media: Media,
    context: &RequestContext,
    responses: &[GraphqlResponse],
    now: DateTime<Utc>,
) -> Response {
    let bodies: Vec<_> = responses.iter().map(|response| Wire(response).to_json()).collect();
    let answer = whole(media, StatusCode::OK, &context.request_id, format!("[{}]", bodies.join(",")));
    let errors = responses.iter().flat_map(|response| &response.errors);
    with_allowance(with_retry_after(answer, errors, Some(now)), context.allowance.get())
}

/// Says in how many seconds what was refused for its rate or quota is accepted again.
fn with_retry_after<'a>(
    mut answer: Response,
    errors: impl IntoIterator<Item = &'a ServerError>,
    now: Option<DateTime<Utc>>,
) -> Response {
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
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// Says what is left, by [RateLimit header fields](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
fn with_allowance(mut answer: Response, left: Option<Allowance>) -> Response {
    let Some(Allowance { quota, window, remaining, reset }) = left else { return answer };
    let reset = reset.map_or(window, |reset| reset).as_secs_f64().ceil();
    let fields = [
        ("ratelimit-policy", format!("\"mutations\";q={quota};w={}", window.as_secs())),
        ("ratelimit", format!("\"mutations\";r={remaining};t={reset}")),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// A request that is not executed, whatever the client accepts.
pub(super) fn refused(
    status: StatusCode,
    code: ErrorCode,
    request_id: &str,
    message: impl Into<String>,
) -> Response {
    failed(status, request_id, &rejection(code, message))
}

/// The same for what failed otherwise.
pub(super) fn failed(status: StatusCode, request_id: &str, response: &GraphqlResponse) -> Response {
    let answer = whole(Media::Json, status, request_id, Wire(response).to_json());
    with_retry_after(answer, &response.errors, None)
}

/// A body that comes as things happen.
pub(super) fn stream(media: Media, request_id: &str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies such as nginx would collect it.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    name(&mut response, request_id);
    response
}

fn whole(media: Media, status: StatusCode, request_id: &str, body: String) -> Response {
    let content_type = HeaderValue::from_static(media.content_type());
    let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
    name(&mut response, request_id);
    response
}

/// Names the request as the log does.
fn name(response: &mut Response, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id);
    }
}

/// The newer media type tells by its status whether an operation was executed; the older one is 200 for whatever was read.
fn status(media: Media, response: &GraphqlResponse) -> StatusCode {
    if !is_refused(response) {
        return StatusCode::OK;
    }
    let codes = response.errors.iter().filter_map(|error| error.extensions.as_ref()?.get("code"));
    let is_ours = codes.into_iter().any(|code| *code == ErrorCode::InternalServerError.into());
    match media {
        _ if is_ours => StatusCode::INTERNAL_SERVER_ERROR,
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
