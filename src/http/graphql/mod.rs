//! Operations over HTTP, by the [draft](https://graphql.github.io/graphql-over-http/draft/), and the door to the WebSocket.
//!
//! ```text
//!  params: what is asked ──► media: how it is answered ─┬─► respond: one body
//!                                                       └─► live ──► sse, multipart: as it happens
//! ```

mod live;
mod media;
mod multipart;
mod params;
mod respond;
mod sse;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use async_graphql::{Response as GraphqlResponse, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{
        ConnectInfo, FromRequestParts, Query, State, WebSocketUpgrade,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use self::{media::Media, params::Asked};
use super::{Api, serve::Place, socket, text};
use crate::{
    domain::auth::Caller,
    error::Error,
    graphql::{ErrorCode, Prepared, RequestContext, failure, too_much},
};

/// The response header that names the request in the log.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// The request header by which a client of events says how far it has come.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `POST /graphql`: one operation, or a batch.
pub(super) async fn post(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let context = match context(&api, &headers, api.caller(peer, &headers)).await {
        Ok(context) => context,
        Err(unavailable) => return unavailable,
    };
    if let Err(message) = is_json(text(&headers, &header::CONTENT_TYPE)) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return respond::refused(status, ErrorCode::BadUserInput, &context.request_id, message);
    }
    match params::from_body(&body) {
        Ok(Asked::One(request)) => {
            let prepared = api.executor.prepare(*request).await;
            answer(api, prepared, context, &headers).await
        }
        Ok(Asked::TooMany) => {
            let refusal = too_much("operations of a batch", params::LONGEST_BATCH);
            respond::failed(StatusCode::BAD_REQUEST, &context.request_id, &refusal)
        }
        Ok(Asked::Many(requests)) => {
            let Some(media @ (Media::Json | Media::GraphqlResponse)) = accepted(&headers, false) else {
                return not_acceptable(&context, "a batch is answered by application/json");
            };
            let mut responses = Vec::with_capacity(requests.len());
            for request in requests {
                responses.push(match api.executor.prepare(request).await {
                    Ok(prepared) => api.executor.execute(prepared, context.clone()).await,
                    Err(refusal) => refusal,
                });
            }
            respond::many(media, &context, &responses)
        }
        Err(message) => bad_request(&context, message),
    }
}

/// `GET /graphql`: a WebSocket, a browser that is sent to the page, or an operation that changes nothing.
pub(super) async fn get(State(api): State<Arc<Api>>, mut parts: Parts) -> Response {
    let headers = parts.headers.clone();
    let peer = match ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, &api).await {
        Ok(ConnectInfo(peer)) => peer,
        Err(rejection) => return rejection.into_response(),
    };
    let caller = api.caller(peer, &headers);
    if text(&headers, &header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
        let origin = text(&headers, &header::ORIGIN);
        if !origin.is_none_or(|origin| api.settings.allows_origin(origin, text(&headers, &header::HOST))) {
            return (StatusCode::FORBIDDEN, "This origin is not in CORS_ORIGINS.\n").into_response();
        }
        let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> =
            WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
        return match upgrade {
            Ok(upgrade) => socket::open(api, upgrade, caller, parts.extensions.remove::<Place>()),
            Err(rejection) => rejection.into_response(),
        };
    }
    if text(&headers, &header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")) {
        return Redirect::to("/").into_response();
    }
    let context = match context(&api, &headers, caller).await {
        Ok(context) => context,
        Err(unavailable) => return unavailable,
    };
    let asked = Query::<HashMap<String, String>>::from_request_parts(&mut parts, &api).await;
    let asked = asked.map_err(|rejection| rejection.body_text());
    let request = match asked.and_then(|Query(asked)| params::from_url(asked)) {
        Ok(request) => request,
        Err(message) => return bad_request(&context, message),
    };
    let prepared = api.executor.prepare(request).await;
    if prepared.as_ref().is_ok_and(|prepared| prepared.kind() == OperationType::Mutation) {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let message = "A mutation must be sent by POST.";
        let mut response = respond::refused(status, ErrorCode::BadUserInput, &context.request_id, message);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    answer(api, prepared, context, &headers).await
}

/// Runs an operation and answers in the way that the client accepts.
async fn answer(
    api: Arc<Api>,
    prepared: Result<Prepared, GraphqlResponse>,
    context: RequestContext,
    headers: &HeaderMap,
) -> Response {
    let follows = prepared.as_ref().is_ok_and(|prepared| prepared.kind() == OperationType::Subscription);
    let Some(media) = accepted(headers, follows) else {
        return not_acceptable(
            &context,
            if follows {
                "a subscription is answered by text/event-stream, by multipart/mixed;subscriptionSpec=1.0, or over a WebSocket"
            } else {
                "an operation is answered by application/graphql-response+json or application/json"
            },
        );
    };
    let request_id = context.request_id.clone();
    match (media, prepared) {
        (Media::GraphqlResponse | Media::Json, Ok(prepared)) => {
            let response = api.executor.execute(prepared, context.clone()).await;
            respond::one(media, &context, &response)
        }
        (Media::GraphqlResponse | Media::Json, Err(refusal)) => respond::one(media, &context, &refusal),
        (Media::EventStream, prepared) => {
            respond::stream(media, &request_id, sse::body(api, prepared, context))
        }
        (Media::Multipart, prepared) => {
            respond::stream(media, &request_id, multipart::body(api, prepared, context))
        }
    }
}

/// Who asks, from where, and where they go on.
async fn context(api: &Api, headers: &HeaderMap, caller: Caller) -> Result<RequestContext, Response> {
    let context = api.context(text(headers, &header::AUTHORIZATION), caller).await.map_err(refusal)?;
    Ok(match text(headers, &LAST_EVENT_ID) {
        Some(cursor) => context.from_place(cursor),
        None => context,
    })
}

/// A request whose body is longer than any is read.
pub(super) fn too_long(max: usize) -> Response {
    let request_id = uuid::Uuid::now_v7().to_string();
    respond::failed(StatusCode::PAYLOAD_TOO_LARGE, &request_id, &too_much("bytes of the body", max))
}

/// A request that failed with this outside of any operation.
pub(super) fn refusal(error: Error) -> Response {
    let status = match &error {
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let request_id = uuid::Uuid::now_v7().to_string();
    respond::failed(status, &request_id, &failure(error, &request_id))
}

fn accepted(headers: &HeaderMap, follows: bool) -> Option<Media> {
    media::choose(text(headers, &header::ACCEPT), follows)
}

/// Only JSON is read, and only as UTF-8: JSON has no other encoding.
fn is_json(content_type: Option<&str>) -> Result<(), &'static str> {
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Err("The Content-Type must be application/json.");
    }
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        let charset = value.trim_matches('"');
        if name.eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        {
            return Err("The charset must be utf-8.");
        }
    }
    Ok(())
}

fn bad_request(context: &RequestContext, message: String) -> Response {
    respond::refused(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, &context.request_id, message)
}

fn not_acceptable(context: &RequestContext, how: &str) -> Response {
    let message = format!("Nothing that Accept names fits: {how}.");
    respond::refused(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, &context.request_id, message)
}
