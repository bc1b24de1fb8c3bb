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

fn within_limits<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        .layer(middleware::from_fn(whole_body))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(bounded))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use clap::Parser;
    use tower::ServiceExt;

    use super::*;
    use crate::config::ServerSettings;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: ServerSettings,
    }

    #[tokio::test]
    async fn a_page_can_read_that_its_request_made_the_server_panic() {
        let panics = get(async || -> StatusCode { panic!("on purpose") });
        let settings = Arc::new(Cli::parse_from([""]).settings);
        let routes: Router = within_limits(Router::new().route("/", panics)).layer(cors::layer(settings));
        let request = Request::get("/").header(header::ORIGIN, "http://localhost:3000");
        let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
    }
}
