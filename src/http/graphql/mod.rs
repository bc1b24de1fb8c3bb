//! Operations over HTTP, by the [draft](https://graphql.github.io/graphql-over-http/draft/), and the door to the WebSocket.
//!
//! ```text
//!  params: what is asked ──► media: how it is answered ─┬─► respond: one body
//!                                                       └─► live ──► sse, multipart: as it happens
//! ```

mod live;
mod media;
mod multipart;
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
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use self::media::Media;
use super::{
    Api,
    connection::Place,
    host::Host,
    params::{self, Asked, BadParameter},
    socket, text,
};
use crate::{
    domain::auth::Caller,
    error::Error,
    graphql::{ErrorCode, Prepared, RequestContext, failure, rejection, too_much},
};

/// The response header that names the request in the log.
pub(super) const REQUEST_ID: &str = "x-request-id";
/// The request header by which a client of events says how far it has come.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const UNREAD: &str = "The operation was executed, but too many bytes of answers wait to be read: read them, then ask for less at once.";

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
        Ok(Asked::One(request)) => match *request {
            Ok(request) => {
                let prepared = api.executor.prepare(request).await;
                answer(api, prepared, context, &headers).await
            }
            Err(bad) => bad_request(&context, bad),
        },
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
                let prepared = match request {
                    Ok(request) => api.executor.prepare(request).await,
                    Err(bad) => Err(bad.response()),
                };
                responses.push(match prepared {
                    Ok(prepared) => api.executor.execute(prepared, context.clone()).await,
                    Err(refusal) => refusal,
                });
            }
            respond::many(media, &context, &responses, api.auth.clock.now())
        }
        Err(message) => bad_request(&context, message.into()),
    }
}

/// `GET /graphql`: a WebSocket, a browser that is sent to the page, or an operation that changes nothing. `CONNECT /graphql`: a
/// WebSocket over HTTP/2, by [RFC 8441](https://www.rfc-editor.org/rfc/rfc8441).
pub(super) async fn get(State(api): State<Arc<Api>>, mut parts: Parts) -> Response {
    let headers = parts.headers.clone();
    let peer = match ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, &api).await {
        Ok(ConnectInfo(peer)) => peer,
        Err(rejection) => return rejection.into_response(),
    };
    let caller = api.caller(peer, &headers);
    let upgrades = text(&headers, &header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    if upgrades || parts.method == Method::CONNECT {
        return upgrade(api, parts, caller).await;
    }
    if text(&headers, &header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")) {
        return Redirect::to("/").into_response();
    }
    let context = match context(&api, &headers, caller).await {
        Ok(context) => context,
        Err(unavailable) => return unavailable,
    };
    let asked = Query::<HashMap<String, String>>::from_request_parts(&mut parts, &api).await;
    let asked = asked.map_err(|rejection| rejection.body_text().into());
    let request = match asked.and_then(|Query(asked)| params::from_url(asked)) {
        Ok(request) => request,
        Err(bad) => return bad_request(&context, bad),
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

/// Opens a WebSocket.
async fn upgrade(api: Arc<Api>, mut parts: Parts, caller: Caller) -> Response {
    let origin = text(&parts.headers, &header::ORIGIN);
    if !origin.is_none_or(|origin| api.settings.allows_origin(origin, Host::of(&parts.extensions))) {
        return forbidden("This origin is not in CORS_ORIGINS.");
    }
    let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> =
        WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
    let place = parts.extensions.get::<Option<Place>>().cloned().flatten();
    let Some(unread) = parts.extensions.get().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = match upgrade {
        Ok(upgrade) => socket::open(api, upgrade, caller, place, unread),
        Err(rejection) => rejection.into_response(),
    };
    // Among them is how the client wrote the names of its headers: some look for Sec-WebSocket-Protocol in those letters only.
    response.extensions_mut().extend(parts.extensions);
    response
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
    let now = api.auth.clock.now();
    match (media, prepared) {
        (Media::GraphqlResponse | Media::Json, Ok(prepared)) => {
            let response = api.executor.execute(prepared, context.clone()).await;
            respond::one(media, &context, &response, now)
        }
        (Media::GraphqlResponse | Media::Json, Err(refusal)) => respond::one(media, &context, &refusal, now),
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

/// An answer for which there is no memory, since the client does not read what it was sent before.
pub(super) fn too_much_unread() -> GraphqlResponse {
    let mut refusal = failure(Error::RateLimited { retry_after_secs: 1 }, "");
    for error in &mut refusal.errors {
        UNREAD.clone_into(&mut error.message);
    }
    refusal
}

/// The same over HTTP.
pub(super) fn unread_refused() -> Response {
    let request_id = uuid::Uuid::now_v7().to_string();
    respond::failed(StatusCode::TOO_MANY_REQUESTS, &request_id, &too_much_unread())
}

/// A request that is not served, whatever it asks for.
pub(super) fn forbidden(message: &str) -> Response {
    let request_id = uuid::Uuid::now_v7().to_string();
    respond::failed(StatusCode::FORBIDDEN, &request_id, &rejection(ErrorCode::Forbidden, message))
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

fn bad_request(context: &RequestContext, bad: BadParameter) -> Response {
    respond::failed(StatusCode::BAD_REQUEST, &context.request_id, &bad.response())
}

fn not_acceptable(context: &RequestContext, how: &str) -> Response {
    let message = format!("Nothing that Accept names fits: {how}.");
    respond::refused(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, &context.request_id, message)
}
