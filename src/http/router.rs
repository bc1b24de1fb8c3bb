//! The routes and their middleware.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    routing::{get, post},
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use super::{
    api::Api, backlog::limit_unread_bytes, body::receive_whole_body, chatroom_export, cors, graphql, host,
    my_data, playground, stripe_webhook,
};
use crate::{config::Switch, graphql::MY_DATA};

/// All routes of the API.
pub fn router(api: Api) -> Router {
    let cors = cors::layer(api.settings.clone());
    let serves_playground = api.settings.playground == Switch::On;
    // Web pages call the routes `for_pages`, so their responses have CORS headers. No page calls the webhook.
    let for_pages = playground::router(serves_playground, api.allows_introspection)
        .route("/graphql", get(graphql::get).post(graphql::post).connect(graphql::get))
        .route(MY_DATA, get(my_data::get))
        .route("/chatrooms/{id}/export", get(chatroom_export::get))
        .merge(api.health.clone().router());
    let for_servers = Router::new().route("/webhook/stripe", post(stripe_webhook::post));
    let api = Arc::new(api);
    with_limits(for_pages)
        .layer(cors)
        .merge(with_limits(for_servers))
        .layer(middleware::from_fn_with_state(api.clone(), host::check))
        .layer(SetResponseHeaderLayer::overriding(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(api)
}

/// The layer that is added last runs first: a request waits for capacity on its connection before its body is received.
fn with_limits<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        .layer(middleware::from_fn(receive_whole_body))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(limit_unread_bytes))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request, http::StatusCode};
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
    async fn the_response_after_a_panic_has_cors_headers() {
        let panics = get(async || -> StatusCode { panic!("on purpose") });
        let settings = Arc::new(Cli::parse_from([""]).settings);
        let routes: Router = with_limits(Router::new().route("/", panics)).layer(cors::layer(settings));
        let request = Request::get("/").header(header::ORIGIN, "http://localhost:3000");
        let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
    }
}
