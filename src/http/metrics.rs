//! `GET /metrics`, on a listener of its own.
//!
//! A scrape reads the state of the queue from the database, unless an earlier scrape has read it in the last five seconds. So the
//! load on the database does not grow with the number of collectors.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    clock::Clock,
    ports::signals::Signals,
    store::{Db, DbErr, queue},
    telemetry::metrics::{CONTENT_TYPE, Metrics},
};

/// How long scrapes reuse the values that one of them read from the database.
const MAX_AGE: Duration = Duration::from_secs(5);
/// How long a scrape waits for the database, and for Redis. After a timeout, the gauges of the database keep their values, and
/// Redis counts as down.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The sources of the values that a scrape returns.
pub struct MetricsSources {
    pub metrics: Arc<Metrics>,
    pub db: Db,
    pub clock: Clock,
    /// None without Redis.
    pub redis: Option<Arc<dyn Signals>>,
}

struct Scraper {
    sources: MetricsSources,
    /// When the database was last read.
    read_at: Mutex<Option<Instant>>,
}

/// The route of metrics.
pub fn metrics_router(sources: MetricsSources) -> Router {
    let scraper = Scraper { sources, read_at: Mutex::default() };
    Router::new().route("/metrics", get(scrape)).with_state(Arc::new(scraper))
}

async fn scrape(State(scraper): State<Arc<Scraper>>) -> Response {
    scraper.refresh().await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], scraper.sources.metrics.render()).into_response()
}

impl Scraper {
    async fn refresh(&self) {
        let MetricsSources { metrics, db, redis, .. } = &self.sources;
        for counts in db.connection_counts() {
            metrics.state.set_connections(counts);
        }
        if let Some(redis) = redis {
            let is_up = matches!(timeout(READ_TIMEOUT, redis.check()).await, Ok(Ok(())));
            metrics.state.set_redis_up(is_up);
        }
        // The lock is held during the read, so that concurrent scrapes wait for it instead of reading, too.
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < MAX_AGE) {
            return;
        }
        match timeout(READ_TIMEOUT, self.read_database()).await {
            Ok(Ok(())) => *read_at = Some(Instant::now()),
            Ok(Err(error)) => tracing::debug!(%error, "reading the state of the queue for metrics failed"),
            Err(_) => tracing::debug!("reading the state of the queue for metrics timed out"),
        }
    }

    /// Reads the values that come from the database.
    async fn read_database(&self) -> Result<(), DbErr> {
        let MetricsSources { metrics, db, clock, .. } = &self.sources;
        let now = clock.now();
        metrics.state.set_queue(&queue::state(db.read(), now).await?);
        metrics.state.set_oldest_stripe_event(queue::oldest_unprocessed_event_secs(db.read(), now).await?);
        Ok(())
    }
}
