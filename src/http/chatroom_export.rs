//! `GET /chatrooms/{id}/export`: the active branch of a chatroom, as a download.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;

use super::{api::Api, headers::text, rejection};
use crate::{
    domain::chatrooms::{ChatroomExport, ExportFormat},
    error::Error,
};

/// The parameters of the URL's query.
#[derive(serde::Deserialize)]
pub(super) struct Parameters {
    format: Option<String>,
}

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let caller = api.caller(peer, &headers);
    let context = match api.context(text(&headers, &header::AUTHORIZATION), caller).await {
        Ok(context) => context,
        Err(error) => return rejection::from_error(error),
    };
    let viewer = match context.identity {
        Ok(viewer) => viewer,
        Err(why) => return rejection::from_error(Error::Unauthenticated(why)),
    };
    let Ok(id) = id.parse() else { return rejection::from_error(Error::NotFound("chatroom")) };
    let (format, content_type, attachment) = match parameters.format.as_deref() {
        Some("markdown") | None => {
            (ExportFormat::Markdown, "text/markdown; charset=utf-8", "attachment; filename=\"chatroom.md\"")
        }
        Some("json") => (ExportFormat::Json, "application/json", "attachment; filename=\"chatroom.json\""),
        Some(_) => {
            return rejection::from_error(Error::bad_input("format", "format must be markdown or json."));
        }
    };
    let export = ChatroomExport { chatrooms: api.chatrooms.clone(), limits: api.auth.limits.clone() };
    let data = match export.export(viewer.user, id, format).await {
        Ok(data) => data,
        Err(error) => return rejection::from_error(error),
    };
    let body = data.map(|part| {
        part.map_err(|error| {
            tracing::info!(?error, "chatroom export failed");
            std::io::Error::other("chatroom export failed")
        })
    });
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, attachment),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}
