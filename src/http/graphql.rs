//! Operations over plain HTTP, and the door to the WebSocket.

use std::net::SocketAddr;

use async_graphql::{BatchRequest, BatchResponse, Request, parser::types::OperationType};
use axum::{
    Json,
    body::Bytes,
    extract::{
        ConnectInfo, FromRequestParts, Query, State, WebSocketUpgrade,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{Api, caller, socket, text};
use crate::graphql::{RequestContext, operation_type, rejection};

/// The response header that names the request in the log.
pub(super) const REQUEST_ID: &str = "x-request-id";
const LONGEST_BATCH: usize = 10;

/// `POST /graphql`: one operation, or a batch.
pub(super) async fn post(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let context = match api.context(text(&headers, &header::AUTHORIZATION), caller(peer, &headers)).await {
        Ok(context) => context,
        Err(error) => return unavailable(&error),
    };
    let is_json = text(&headers, &header::CONTENT_TYPE).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        let problem = rejection("BAD_USER_INPUT", "The Content-Type must be application/json.");
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, answer(&context, problem.into())).into_response();
    }
    match serde_json::from_slice(&body) {
        Ok(BatchRequest::Single(request)) => {
            let response = api.executor.execute(request, context.clone()).await;
            answer(&context, response.into()).into_response()
        }
        Ok(BatchRequest::Batch(requests)) if (1..=LONGEST_BATCH).contains(&requests.len()) => {
            let mut responses = Vec::with_capacity(requests.len());
            for request in requests {
                responses.push(api.executor.execute(request, context.clone()).await);
            }
            answer(&context, BatchResponse::Batch(responses)).into_response()
        }
        Ok(BatchRequest::Batch(_)) => {
            bad_request(&context, format!("A batch must hold 1 to {LONGEST_BATCH} operations."))
        }
        Err(cause) => bad_request(&context, format!("The body is not a GraphQL request in JSON: {cause}.")),
    }
}

/// A query in a URL.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UrlRequest {
    query: String,
    operation_name: Option<String>,
    variables: Option<String>,
}

/// `GET /graphql`: a WebSocket, a browser that is sent to the page, or a query.
pub(super) async fn get(State(api): State<Api>, mut parts: Parts) -> Response {
    let headers = &parts.headers;
    let upgrades = text(headers, &header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let peer = match ConnectInfo::<SocketAddr>::from_request_parts(&mut parts.clone(), &api).await {
        Ok(ConnectInfo(peer)) => peer,
        Err(rejection) => return rejection.into_response(),
    };
    let caller = caller(peer, headers);
    if upgrades {
        let origin = text(headers, &header::ORIGIN);
        if !origin.is_none_or(|origin| api.settings.allows_origin(origin, text(headers, &header::HOST))) {
            return (StatusCode::FORBIDDEN, "This origin is not in CORS_ORIGINS.\n").into_response();
        }
        let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> =
            WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
        return match upgrade {
            Ok(upgrade) => socket::open(api, upgrade, caller),
            Err(rejection) => rejection.into_response(),
        };
    }
    if text(headers, &header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")) {
        return Redirect::to("/").into_response();
    }
    let context = match api.context(text(headers, &header::AUTHORIZATION), caller).await {
        Ok(context) => context,
        Err(error) => return unavailable(&error),
    };
    let Ok(Query(asked)) = Query::<UrlRequest>::from_request_parts(&mut parts, &api).await else {
        return bad_request(&context, "The URL must carry `query`.".to_owned());
    };
    let mut request = Request::new(asked.query);
    request.operation_name = asked.operation_name;
    if let Some(variables) = asked.variables {
        match serde_json::from_str(&variables) {
            Ok(variables) => request.variables = variables,
            Err(cause) => return bad_request(&context, format!("variables is not a JSON object: {cause}.")),
        }
    }
    if operation_type(&mut request) == Some(OperationType::Mutation) {
        let problem = rejection("BAD_USER_INPUT", "A mutation must be sent by POST.");
        let allow = [(header::ALLOW, HeaderValue::from_static("POST"))];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, answer(&context, problem.into())).into_response();
    }
    let response = api.executor.execute(request, context.clone()).await;
    answer(&context, response.into()).into_response()
}

fn answer(context: &RequestContext, response: BatchResponse) -> impl IntoResponse + use<> {
    let mut headers = HeaderMap::new();
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    (headers, Json(response))
}

fn bad_request(context: &RequestContext, message: String) -> Response {
    let problem = rejection("BAD_USER_INPUT", message);
    (StatusCode::BAD_REQUEST, answer(context, problem.into())).into_response()
}

/// The request could not even be attributed to somebody.
fn unavailable(error: &crate::error::Error) -> Response {
    let request_id = uuid::Uuid::now_v7().to_string();
    tracing::error!(request_id, ?error, "a request could not be authenticated");
    let mut problem = rejection("INTERNAL_SERVER_ERROR", "Something went wrong on our side.");
    for error in &mut problem.errors {
        error.extensions.get_or_insert_default().set("requestId", request_id.as_str());
    }
    (StatusCode::INTERNAL_SERVER_ERROR, Json(problem)).into_response()
}
