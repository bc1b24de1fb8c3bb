//! `GET /my-data`: everything that is kept of a user, as a download.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Api, graphql::refusal, text};
use crate::error::Error;

const AS_A_FILE: &str = "attachment; filename=\"my-data.json\"";

pub(super) async fn get(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let caller = api.caller(peer, &headers);
    let context = match api.context(text(&headers, &header::AUTHORIZATION), caller).await {
        Ok(context) => context,
        Err(error) => return refusal(error),
    };
    let viewer = match context.identity {
        Ok(viewer) => viewer,
        Err(why) => return refusal(Error::Unauthenticated(why)),
    };
    let data = match api.auth.export(viewer).await {
        Ok(data) => data,
        Err(error) => return refusal(error),
    };
    let told = futures_util::StreamExt::map(data, |part| {
        part.map_err(|error| {
            tracing::error!(?error, "an export broke off");
            std::io::Error::other("it broke off")
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, AS_A_FILE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (StatusCode::OK, headers, Body::from_stream(told)).into_response()
}
