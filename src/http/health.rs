//! Liveness and readiness of the process.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};

use crate::{lifecycle::Lifecycle, ports::signals::Signals, store::Db};

/// What the health checks examine.
#[derive(Clone)]
pub struct Health {
    pub db: Db,
    pub signals: Arc<dyn Signals>,
    pub life: Lifecycle,
}

impl Health {
    /// The routes that every process serves.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(self)
    }
}

async fn live() -> &'static str {
    "live\n"
}

/// Until SIGTERM, the process is ready while the database can be read and written. It is also ready without Redis, because
/// everything still works, only slower. If Redis were required, its failure would remove all processes from the load balancer
/// at once.
async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.life.soft.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    if let Err(error) = health.db.ping().await {
        tracing::warn!(%error, "not ready: the database does not respond");
        return (StatusCode::SERVICE_UNAVAILABLE, "database unavailable\n");
    }
    if let Err(error) = health.db.check_write().await {
        tracing::warn!(%error, "not ready: the database cannot be written");
        return (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be written\n");
    }
    match health.signals.check().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(cause = format!("{:#}", error.cause), "ready without Redis");
            (StatusCode::OK, "ready, without Redis\n")
        }
    }
}
