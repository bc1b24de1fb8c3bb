//! Gauges whose values are read when Prometheus scrapes the process.

use prometheus::{IntGauge, IntGaugeVec, Registry};

use super::{gauge, gauges};

/// The queued jobs of one kind.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    pub kind: String,
    /// Jobs that are due and wait for a worker.
    pub due: i64,
    /// Jobs that wait for a later time.
    pub scheduled: i64,
    /// Jobs that a worker has claimed.
    pub claimed: i64,
    /// How long the oldest due job has been due, in seconds; 0 if no job is due.
    pub oldest_due_secs: i64,
}

/// The connections of a pool to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCounts {
    pub pool: &'static str,
    pub max: usize,
    pub used: usize,
}

#[derive(Clone)]
pub struct StateMetrics {
    jobs: IntGaugeVec,
    oldest_due: IntGaugeVec,
    stripe_oldest: IntGauge,
    connections: IntGaugeVec,
    max_connections: IntGaugeVec,
    redis_up: IntGaugeVec,
}

impl StateMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            jobs: gauges(
                registry,
                "pollux_jobs_queued",
                "Jobs in the database, by kind and state (due, scheduled or claimed). Every process reports the same value.",
                &["kind", "state"],
            ),
            oldest_due: gauges(
                registry,
                "pollux_jobs_oldest_due_age_seconds",
                "How long the oldest due job has been due, by kind. Every process reports the same value.",
                &["kind"],
            ),
            stripe_oldest: gauge(
                registry,
                "pollux_stripe_oldest_unprocessed_event_age_seconds",
                "The age of the oldest Stripe event that is not processed; 0 if there is none.",
            ),
            connections: gauges(
                registry,
                "pollux_database_connections_used",
                "Database connections in use, by pool.",
                &["pool"],
            ),
            max_connections: gauges(
                registry,
                "pollux_database_connections_max",
                "The maximum number of database connections, by pool.",
                &["pool"],
            ),
            // Has an empty list of labels, so that it is absent until a value is set, which never happens without Redis.
            redis_up: gauges(
                registry,
                "pollux_redis_up",
                "Whether Redis responds and accepts writes: 1 or 0.",
                &[],
            ),
        }
    }

    /// Replaces the values of all kinds of jobs. Kinds that are not in `queue` disappear.
    pub fn set_queue(&self, queue: &[QueueState]) {
        self.jobs.reset();
        self.oldest_due.reset();
        for QueueState { kind, due, scheduled, claimed, oldest_due_secs } in queue {
            for (state, count) in [("due", due), ("scheduled", scheduled), ("claimed", claimed)] {
                self.jobs.with_label_values(&[kind.as_str(), state]).set(*count);
            }
            self.oldest_due.with_label_values(&[kind]).set(*oldest_due_secs);
        }
    }

    pub fn set_oldest_stripe_event(&self, age_secs: i64) {
        self.stripe_oldest.set(age_secs);
    }

    pub fn set_connections(&self, counts: ConnectionCounts) {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.connections.with_label_values(&[counts.pool]).set(count(counts.used));
        self.max_connections.with_label_values(&[counts.pool]).set(count(counts.max));
    }

    pub fn set_redis_up(&self, is_up: bool) {
        self.redis_up.with_label_values::<&str>(&[]).set(i64::from(is_up));
    }
}
