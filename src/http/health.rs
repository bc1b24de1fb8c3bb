//! Whether the process lives, and whether it should get traffic.

use axum::{extract::State, http::StatusCode};

use super::Api;

pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Ready while the database answers; not from SIGTERM on.
pub(super) async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.life.soft.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match api.db.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}
