//! Operations over HTTP, by the [draft specification](https://graphql.github.io/graphql-over-http/draft/), and the upgrade to a
//! WebSocket.
//!
//! ```text
//!  params ──► executor.prepare ──► media (by Accept) ─┬─► respond: one body
//!                                                     └─► live ──► sse, multipart: a body of events
//! ```

mod live;
mod media;
mod multipart;
mod respond;
mod sse;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use async_graphql::{Response as GraphqlResponse, parser::types::OperationType};
use axum::{
    body::to_bytes,
    extract::{
        ConnectInfo, FromRequestParts, Query, Request, State, WebSocketUpgrade,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use self::media::Media;
use super::{
    api::Api,
    body::MAX_BODY,
    headers::text,
    host::Host,
    params::{self, BadParameter, Body},
    peers::ConnectionPermit,
    rejection, socket,
};
use crate::{
    domain::auth::Caller,
    error::{LimitExceeded, RequestLimit},
    graphql::{ErrorCode, Prepared, RequestContext, limit_exceeded},
    telemetry::traces::TRACE_PARENT,
};

/// The request header by which a client of Server-Sent Events resumes.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `POST /graphql`: one operation, or a batch.
pub(super) async fn post(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (Parts { headers, .. }, body) = request.into_parts();
    // `limits::apply` has received the body.
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let context = match context(&api, &headers, api.caller(peer, &headers)).await {
        Ok(context) => context,
        Err(response) => return response,
    };
    if let Err(message) = check_content_type(text(&headers, &header::CONTENT_TYPE)) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return rejection::reject(status, ErrorCode::BadUserInput, &context.request_id, message);
    }
    match params::from_body(&body) {
        Ok(Body::Single(request)) => match *request {
            Ok(request) => {
                let prepared = api.executor.prepare(request);
                respond_to(api, prepared, context, &headers).await
            }
            Err(bad) => bad_request(&context, bad),
        },
        Ok(Body::BatchTooLong { count }) => {
            let limit = RequestLimit::BatchSize;
            let rejection = limit_exceeded(LimitExceeded { limit, count, max: params::MAX_BATCH });
            rejection::respond(StatusCode::BAD_REQUEST, &context.request_id, &rejection)
        }
        Ok(Body::Batch(requests)) => {
            let Some(media @ (Media::Json | Media::GraphqlResponse)) = accepted_media(&headers, false) else {
                return not_acceptable(&context, "Accept must allow application/json for a batch");
            };
            let mut responses = Vec::with_capacity(requests.len());
            for request in requests {
                let prepared = match request {
                    Ok(request) => api.executor.prepare(request),
                    Err(bad) => Err(Box::new(bad.response())),
                };
                responses.push(match prepared {
                    Ok(prepared) => api.executor.execute(prepared, context.clone()).await,
                    Err(rejection) => *rejection,
                });
            }
            respond::batch(media, &context, &responses, api.auth.clock.now())
        }
        Err(message) => bad_request(&context, message.into()),
    }
}

/// `GET /graphql` opens a WebSocket, redirects a browser to the chat at `/`, or executes a query or a subscription.
/// `CONNECT /graphql` opens a WebSocket over HTTP/2, by [RFC 8441](https://www.rfc-editor.org/rfc/rfc8441).
pub(super) async fn get(State(api): State<Arc<Api>>, mut parts: Parts) -> Response {
    let headers = parts.headers.clone();
    let peer = match ConnectInfo::<SocketAddr>::from_request_parts(&mut parts, &api).await {
        Ok(ConnectInfo(peer)) => peer,
        Err(rejection) => return rejection.into_response(),
    };
    let caller = api.caller(peer, &headers);
    let is_upgrade = text(&headers, &header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    if is_upgrade || parts.method == Method::CONNECT {
        return upgrade(api, parts, caller).await;
    }
    if text(&headers, &header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")) {
        return Redirect::to("/").into_response();
    }
    let context = match context(&api, &headers, caller).await {
        Ok(context) => context,
        Err(response) => return response,
    };
    let query = Query::<HashMap<String, String>>::from_request_parts(&mut parts, &api).await;
    let query = query.map_err(|rejection| rejection.body_text().into());
    let request = match query.and_then(|Query(query)| params::from_url(query)) {
        Ok(request) => request,
        Err(bad) => return bad_request(&context, bad),
    };
    let prepared = api.executor.prepare(request);
    if prepared.as_ref().is_ok_and(|prepared| prepared.kind() == OperationType::Mutation) {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let message = "A mutation must be sent by POST.";
        let mut response = rejection::reject(status, ErrorCode::BadUserInput, &context.request_id, message);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    respond_to(api, prepared, context, &headers).await
}

/// Opens a WebSocket.
async fn upgrade(api: Arc<Api>, mut parts: Parts, caller: Caller) -> Response {
    let origin = text(&parts.headers, &header::ORIGIN);
    if !origin.is_none_or(|origin| api.settings.allows_origin(origin, Host::of(&parts.extensions))) {
        return rejection::forbidden("This origin is not in CORS_ORIGINS.");
    }
    let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> =
        WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
    let permit = parts.extensions.get::<Option<Arc<ConnectionPermit>>>().cloned().flatten();
    let Some(unread) = parts.extensions.get().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = match upgrade {
        Ok(upgrade) => socket::open(api, upgrade, caller, permit, unread),
        Err(rejection) => rejection.into_response(),
    };
    // The extensions hold the letter case of the request's header names. The response repeats it, because some clients match
    // Sec-WebSocket-Protocol case-sensitively.
    response.extensions_mut().extend(parts.extensions);
    response
}

/// Runs an operation and responds with a media type that the client accepts.
async fn respond_to(
    api: Arc<Api>,
    prepared: Result<Prepared, Box<GraphqlResponse>>,
    context: RequestContext,
    headers: &HeaderMap,
) -> Response {
    let is_subscription =
        prepared.as_ref().is_ok_and(|prepared| prepared.kind() == OperationType::Subscription);
    let Some(media) = accepted_media(headers, is_subscription) else {
        return not_acceptable(
            &context,
            if is_subscription {
                "Accept must allow text/event-stream or multipart/mixed;subscriptionSpec=1.0 for a subscription; WebSocket is also supported"
            } else {
                "Accept must allow application/graphql-response+json or application/json"
            },
        );
    };
    let request_id = context.request_id.clone();
    let now = api.auth.clock.now();
    match (media, prepared) {
        (Media::GraphqlResponse | Media::Json, Ok(prepared)) => {
            let response = api.executor.execute(prepared, context.clone()).await;
            respond::single(media, &context, &response, now)
        }
        (Media::GraphqlResponse | Media::Json, Err(rejection)) => {
            respond::single(media, &context, &rejection, now)
        }
        (Media::EventStream, prepared) => {
            respond::stream(media, &request_id, sse::body(api, prepared, context))
        }
        (Media::Multipart, prepared) => {
            respond::stream(media, &request_id, multipart::body(api, prepared, context))
        }
    }
}

/// Authenticates the request, and reads the cursor after which it resumes and the trace to which it belongs.
async fn context(api: &Api, headers: &HeaderMap, caller: Caller) -> Result<RequestContext, Response> {
    let authorization = text(headers, &header::AUTHORIZATION);
    let context = api.context(authorization, caller).await.map_err(rejection::from_error)?;
    let resume_after = text(headers, &LAST_EVENT_ID).map(str::to_owned);
    let trace_parent = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(RequestContext { trace_parent, resume_after, ..context })
}

fn accepted_media(headers: &HeaderMap, is_subscription: bool) -> Option<Media> {
    media::choose(text(headers, &header::ACCEPT), is_subscription)
}

/// Rejects a body that is not declared as JSON, or whose declared charset is not UTF-8.
fn check_content_type(content_type: Option<&str>) -> Result<(), &'static str> {
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
    rejection::respond(StatusCode::BAD_REQUEST, &context.request_id, &bad.response())
}

fn not_acceptable(context: &RequestContext, requirement: &str) -> Response {
    let message = format!("Accept names no media type that this server can send: {requirement}.");
    rejection::reject(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, &context.request_id, message)
}
