//! Metrics of jobs, and of the replies that they write.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::{SLOW_BUCKETS, counter, counters, gauge, histogram, histograms, observe, transports::GaugeGuard};

#[derive(Clone)]
pub struct JobMetrics {
    claims: IntCounterVec,
    takeovers: IntCounterVec,
    runs: IntCounterVec,
    durations: HistogramVec,
    running: IntGauge,
}

impl JobMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            claims: counters(registry, "pollux_job_claims_total", "Claims of jobs, by kind.", &["kind"]),
            takeovers: counters(
                registry,
                "pollux_job_takeovers_total",
                "Takeovers, by kind: claims of jobs that an earlier worker had claimed and neither completed nor failed, because it died, \
                 lost its lease or shut down.",
                &["kind"],
            ),
            runs: counters(
                registry,
                "pollux_job_runs_total",
                "Runs of claimed jobs, by kind and result: done, retry, released, error or panic. A run of a reply job is one attempt; it \
                 counts as done even if the attempt failed and is retried, except after an internal error (error) or a panic.",
                &["kind", "result"],
            ),
            durations: histograms(
                registry,
                "pollux_job_duration_seconds",
                "Durations of runs of claimed jobs, by kind.",
                &SLOW_BUCKETS,
                &["kind"],
            ),
            running: gauge(registry, "pollux_worker_jobs_running", "Jobs that this process is running."),
        }
    }

    /// Counts a claim, and counts the job as running until the returned guard is dropped. `is_takeover` states whether a worker
    /// that claimed the job earlier neither completed nor failed it.
    #[must_use]
    pub fn claimed(&self, kind: &str, is_takeover: bool) -> GaugeGuard {
        self.claims.with_label_values(&[kind]).inc();
        if is_takeover {
            self.takeovers.with_label_values(&[kind]).inc();
        }
        GaugeGuard::new(&self.running)
    }

    /// Counts a run that ended, and records its duration.
    pub fn ended(&self, kind: &str, result: &'static str, duration: Duration) {
        self.runs.with_label_values(&[kind, result]).inc();
        observe(&self.durations.with_label_values(&[kind]), duration);
    }
}

/// Metrics of replies and their subscriptions.
#[derive(Clone)]
pub struct ReplyMetrics {
    ended: IntCounterVec,
    durations: Histogram,
    retries: IntCounterVec,
    from_beginning: IntCounter,
    resumed: IntCounter,
    rereads: IntCounter,
}

impl ReplyMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let subscriptions = counters(
            registry,
            "pollux_reply_subscriptions_total",
            "Subscriptions of replies, by where they start: at the beginning of the reply, or after a cursor, from which they resume.",
            &["start"],
        );
        Self {
            ended: counters(
                registry,
                "pollux_replies_ended_total",
                "Replies that ended, by status and failure code. The failure code of completed and cancelled replies is none.",
                &["status", "failure"],
            ),
            durations: histogram(
                registry,
                "pollux_reply_duration_seconds",
                "Time from the request of a reply to its completion. Failed and cancelled replies are not included.",
                &SLOW_BUCKETS,
            ),
            retries: counters(
                registry,
                "pollux_reply_retries_total",
                "Attempts at replies that failed and after which the reply is retried, by failure code.",
                &["failure"],
            ),
            from_beginning: subscriptions.with_label_values(&["beginning"]),
            resumed: subscriptions.with_label_values(&["cursor"]),
            rereads: counter(
                registry,
                "pollux_reply_rereads_total",
                "How often a subscriber of a reply missed log entries, for example because it lagged, and reread the log and the row.",
            ),
        }
    }

    /// Counts a reply that ended. `completed_after` is the time since its request, or none if the reply failed or was cancelled.
    pub fn ended(&self, status: &str, failure: Option<&str>, completed_after: Option<Duration>) {
        self.ended.with_label_values(&[status, failure.unwrap_or("none")]).inc();
        if let Some(duration) = completed_after {
            observe(&self.durations, duration);
        }
    }

    /// Counts an attempt that failed and after which the reply is retried.
    pub fn retried(&self, failure: &str) {
        self.retries.with_label_values(&[failure]).inc();
    }

    /// Counts a new subscription of a reply.
    pub fn subscribed(&self, is_resumed: bool) {
        if is_resumed { self.resumed.inc() } else { self.from_beginning.inc() }
    }

    /// Counts that a subscriber rereads the log and the row.
    pub fn reread(&self) {
        self.rereads.inc();
    }
}
