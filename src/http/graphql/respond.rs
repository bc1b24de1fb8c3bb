//! Answers that are one body.

use async_graphql::Response as GraphqlResponse;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{REQUEST_ID, media::Media};
use crate::graphql::{Allowance, ErrorCode, RequestContext, Wire, is_refused, rejection};

/// An operation's response.
pub(super) fn one(media: Media, context: &RequestContext, response: &GraphqlResponse) -> Response {
    let answer = whole(media, status(media, response), &context.request_id, Wire(response).to_json());
    with_allowance(answer, context.allowance.get())
}

/// A batch's responses.
pub(super) fn many(media: Media, context: &RequestContext, responses: &[GraphqlResponse]) -> Response {
    let bodies: Vec<_> = responses.iter().map(|response| Wire(response).to_json()).collect();
    let answer = whole(media, StatusCode::OK, &context.request_id, format!("[{}]", bodies.join(",")));
    with_allowance(answer, context.allowance.get())
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
    whole(Media::Json, status, request_id, Wire(response).to_json())
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
