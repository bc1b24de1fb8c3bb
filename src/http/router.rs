//! The routes and their middleware.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware,
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{api::Api, chatroom_export, cors, graphql, host, limits, my_data, playground, stripe_webhook};
use crate::{
    config::{ServerSettings, Switch},
    graphql::MY_DATA,
};

/// All routes of the API.
///
/// Layers are added in as few calls of `layer` as possible: each call puts every route into another box, and each box is cloned for
/// each request.
pub fn router(api: Api) -> Router {
    let settings = api.settings.clone();
    let serves_playground = api.settings.playground == Switch::On;
    let pages = playground::router(serves_playground, api.allows_introspection)
        .route("/graphql", get(graphql::get).post(graphql::post).connect(graphql::get))
        .route(MY_DATA, get(my_data::get))
        .route("/chatrooms/{id}/export", get(chatroom_export::get))
        .merge(api.health.clone().router());
    // No page calls the webhook.
    let webhook = Router::new().route("/webhook/stripe", post(stripe_webhook::post));
    let api = Arc::new(api);
    let no_sniff = SetResponseHeaderLayer::overriding(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let check_host = middleware::from_fn_with_state(api.clone(), host::check);
    for_pages(pages, settings)
        .merge(webhook.layer(middleware::from_fn(limits::apply)))
        .layer(ServiceBuilder::new().layer(no_sniff).layer(check_host))
        .with_state(api)
}

/// Routes that web pages call: each response, also one that a limit causes, has CORS headers.
fn for_pages<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    settings: Arc<ServerSettings>,
) -> Router<S> {
    let limits = middleware::from_fn(limits::apply);
    routes.layer(ServiceBuilder::new().layer(cors::layer(settings)).layer(limits))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        extract::Request,
        http::StatusCode,
    };
    use clap::Parser;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::graphql::ErrorCode;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: ServerSettings,
    }

    #[tokio::test]
    async fn the_response_after_a_panic_is_an_error_with_cors_headers() {
        let panics = get(async || -> StatusCode { panic!("on purpose") });
        let settings = Arc::new(Cli::parse_from([""]).settings);
        let routes: Router = for_pages(Router::new().route("/", panics), settings);
        let request = Request::get("/").header(header::ORIGIN, "http://localhost:3000");
        let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        let body: Value =
            serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
        let code = &body["errors"][0]["extensions"]["code"];
        assert_eq!(*code, ErrorCode::InternalServerError.as_str());
    }
}
