//! Allows web pages of configured origins to call the API, by [CORS](https://fetch.spec.whatwg.org/#http-cors-protocol).

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::host::Host;
use crate::{config::ServerSettings, telemetry::OncePerMinute};

/// How long a browser may cache a preflight response. Chromium caches no response for longer than this.
const MAX_AGE: Duration = Duration::from_hours(2);
/// The maximum number of characters of an origin in the log.
const MAX_LOGGED_ORIGIN: usize = 200;

/// Responds to preflight requests, and lets allowed pages read every response, including errors.
pub(super) fn layer(settings: Arc<ServerSettings>) -> CorsLayer {
    let rejected_origins = OncePerMinute::default();
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, request: &Parts| {
        let origin = origin.to_str().unwrap_or_default();
        let is_allowed = settings.allows_origin(origin, Host::of(&request.extensions));
        if !is_allowed && let Some(suppressed) = rejected_origins.pass() {
            let origin: String = origin.chars().take(MAX_LOGGED_ORIGIN).collect();
            tracing::warn!(?origin, others = suppressed, "origin rejected: not in CORS_ORIGINS");
        }
        is_allowed
    });
    let exposed_headers = ["x-request-id", "ratelimit", "ratelimit-policy"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed_headers.into_iter().chain([header::RETRY_AFTER]).collect::<Vec<_>>())
        .max_age(MAX_AGE)
}
