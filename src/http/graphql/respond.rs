//! Builds the HTTP responses of operations.

use async_graphql::Response as GraphqlResponse;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};

use super::media::Media;
use crate::{
    graphql::{ErrorCode, MutationRate, RequestContext, SerializedResponse, is_rejected},
    http::rejection::{set_request_id, set_retry_after},
};

/// The response of one operation.
pub(super) fn single(
    media: Media,
    context: &RequestContext,
    response: &GraphqlResponse,
    now: DateTime<Utc>,
) -> Response {
    let body = SerializedResponse(response).to_json();
    let mut http_response = whole_response(media, status(media, response), context, body);
    set_retry_after(&mut http_response, &response.errors, Some(now));
    http_response
}

/// The responses of a batch.
pub(super) fn batch(
    media: Media,
    context: &RequestContext,
    responses: &[GraphqlResponse],
    now: DateTime<Utc>,
) -> Response {
    let bodies: Vec<_> = responses.iter().map(|response| SerializedResponse(response).to_json()).collect();
    let body = format!("[{}]", bodies.join(","));
    let mut http_response = whole_response(media, StatusCode::OK, context, body);
    let errors = responses.iter().flat_map(|response| &response.errors);
    set_retry_after(&mut http_response, errors, Some(now));
    http_response
}

/// A response whose body is sent while its operation runs.
pub(super) fn stream(media: Media, request_id: &str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Without this header, proxies such as nginx buffer the body.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    set_request_id(&mut response, request_id);
    response
}

/// A response whose whole body is known.
fn whole_response(media: Media, status: StatusCode, context: &RequestContext, body: String) -> Response {
    let content_type = HeaderValue::from_static(media.content_type());
    let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
    set_request_id(&mut response, &context.request_id);
    // While the response holds this value, the memory of the request counts for its user: until the connection has accepted the
    // body.
    response.extensions_mut().insert(context.memory.clone());
    if let Some(rate) = context.mutation_rate.get() {
        set_rate_limit(&mut response, &rate);
    }
    response
}

/// Sets the [RateLimit header fields](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
fn set_rate_limit(response: &mut Response, rate: &MutationRate) {
    let MutationRate { quota, window, remaining, reset } = rate;
    let reset = reset.unwrap_or(*window).as_secs_f64().ceil();
    let fields = [
        ("ratelimit-policy", format!("\"mutations\";q={quota};w={}", window.as_secs())),
        ("ratelimit", format!("\"mutations\";r={remaining};t={reset}")),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}

/// The status of a response. With `application/graphql-response+json`, it shows whether the operation was executed. With
/// `application/json`, it is 200 for every request that could be parsed. With both, it is 500 after an internal error outside of
/// the fields.
fn status(media: Media, response: &GraphqlResponse) -> StatusCode {
    if !is_rejected(response) {
        return StatusCode::OK;
    }
    let codes = response.errors.iter().filter_map(|error| error.extensions.as_ref()?.get("code"));
    let is_internal = codes.into_iter().any(|code| *code == ErrorCode::InternalServerError.into());
    match media {
        _ if is_internal => StatusCode::INTERNAL_SERVER_ERROR,
        Media::GraphqlResponse => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
