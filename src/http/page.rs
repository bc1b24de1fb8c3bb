//! The page at `/`.

use async_graphql::http::GraphiQLSource;
use axum::{
    http::header,
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Where GraphiQL's parts come from.
const FROM: &str = "https://unpkg.com https://esm.sh";

pub(super) async fn show() -> Response {
    let nonce = STANDARD.encode(uuid::Uuid::new_v4().as_bytes());
    let page = GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql")
        .title("Pollux")
        .finish()
        .replace("<script", &format!("<script nonce=\"{nonce}\""));
    // Styles are set by GraphiQL as it runs, and its editor makes workers of its own.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic' {FROM}; style-src 'unsafe-inline' {FROM}; \
         font-src data: {FROM}; img-src 'self' data: https:; connect-src 'self' {FROM}; worker-src blob:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(page)).into_response()
}
