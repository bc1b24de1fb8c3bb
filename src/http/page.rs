//! The playground at `/`.

use async_graphql::http::GraphiQLSource;
use axum::{
    http::header,
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// The version that the content security policy below was tested with.
const GRAPHIQL: &str = "4.1.2";

pub(super) async fn get() -> Response {
    let nonce = STANDARD.encode(uuid::Uuid::new_v4().as_bytes());
    let page = GraphiQLSource::build()
        .endpoint("/graphql")
        .subscription_endpoint("/graphql")
        .version(GRAPHIQL)
        .title("Pollux")
        .finish()
        // The tag would override the Referrer-Policy header and disclose this server's address to the CDN.
        .replace("<meta name=\"referrer\" content=\"origin\">", "")
        .replace("<script", &format!("<script nonce=\"{nonce}\""));
    // GraphiQL sets styles at run time, and embeds fonts and images in its style sheet.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline' https://unpkg.com; font-src data:; \
         img-src data: https://graphql.org; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(page)).into_response()
}
