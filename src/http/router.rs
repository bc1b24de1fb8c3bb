//! The routes, and what every request passes on its way to one.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware,
    routing::{get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use super::{Api, backlog::bounded, body::whole_body, cors, graphql, host, my_data, page, stripe_webhook};
use crate::graphql::MY_DATA;

/// The longest body that is read, in bytes: the longest message with every character escaped is 375 KiB.
pub(super) const LONGEST_BODY: usize = 512 * 1024;

/// Everything that is served.
pub fn router(api: Api) -> Router {
    let cors = cors::layer(api.settings.clone());
    let page = if api.is_open { get(page::show) } else { get(StatusCode::NOT_FOUND) };
    // Every response has CORS headers but those of the webhook, which no page calls.
    let of_pages = Router::new()
        .route("/", page)
        .route("/graphql", get(graphql::get).post(graphql::post).connect(graphql::get))
        .route(MY_DATA, get(my_data::get))
        .merge(api.health.clone().router())
        .fallback(async || StatusCode::NOT_FOUND);
    let of_servers = Router::new().route("/webhook/stripe", post(stripe_webhook::post));
    let api = Arc::new(api);
    within_limits(of_pages)
        .layer(cors)
        .merge(within_limits(of_servers))
        .layer(middleware::from_fn_with_state(api.clone(), host::check))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(api)
}

fn within_limits(routes: Router<Arc<Api>>) -> Router<Arc<Api>> {
    routes
        .layer(middleware::from_fn(whole_body))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(bounded))
}
