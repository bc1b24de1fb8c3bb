//! The routes.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware,
    routing::{get, post},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
    set_header::SetResponseHeaderLayer,
};

use super::{Api, graphql, my_data, page, serve::whole_body, stripe_webhook};
use crate::graphql::MY_DATA;

/// The longest body that is read, in bytes.
pub(super) const LONGEST_BODY: usize = 256 * 1024;

/// Everything that is served.
pub fn router(api: Api) -> Router {
    let settings = api.settings.clone();
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, request: &Parts| {
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        origin.to_str().is_ok_and(|origin| settings.allows_origin(origin, host))
    });
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, graphql::LAST_EVENT_ID])
        .expose_headers(["x-request-id", "ratelimit", "ratelimit-policy"].map(HeaderName::from_static));
    let page = if api.is_open { get(page::show) } else { get(StatusCode::NOT_FOUND) };
    Router::new()
        .route("/", page)
        .route("/graphql", get(graphql::get).post(graphql::post).layer(cors.clone()))
        .route(MY_DATA, get(my_data::get).layer(cors))
        .route("/webhook/stripe", post(stripe_webhook::post))
        .merge(api.health.clone().router())
        .layer(middleware::from_fn(whole_body))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::new())
        .with_state(Arc::new(api))
}
