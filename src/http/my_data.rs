//! `GET /my-data`: the export of the user's data, as a download.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{api::Api, headers::text, rejection};
use crate::error::Error;

const ATTACHMENT: &str = "attachment; filename=\"my-data.json\"";

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
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
    let data = match api.auth.export(viewer).await {
        Ok(data) => data,
        Err(error) => return rejection::from_error(error),
    };
    let body = futures_util::StreamExt::map(data, |part| {
        part.map_err(|error| {
            tracing::error!(?error, "data export failed");
            std::io::Error::other("data export failed")
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, ATTACHMENT),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}
