//! Metrics of jobs, and of the replies that they write.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::{SLOW, counter, counters, gauge, histogram, histograms, observe, transports::OpenGuard};

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
            claims: counters(registry, "pollux_job_claims_total", "Claimed jobs, by kind.", &["kind"]),
            takeovers: counters(
                registry,
                "pollux_job_takeovers_total",
                "Claimed jobs that an earlier worker had claimed and neither ended nor failed, because it died or shut down.",
                &["kind"],
            ),
            runs: counters(
                registry,
                "pollux_job_runs_total",
                "Runs of jobs, by kind and result: done, retry, released, error or panic.",
                &["kind", "result"],
            ),
            durations: histograms(
                registry,
                "pollux_job_duration_seconds",
                "Duration of the runs of jobs, by kind.",
                &SLOW,
                &["kind"],
            ),
            running: gauge(registry, "pollux_worker_jobs_running", "Jobs that this process runs now."),
        }
    }

    /// Counts a claim, and counts the job as running until the returned guard is dropped.
    #[must_use]
    pub fn claimed(&self, kind: &str, is_takeover: bool) -> OpenGuard {
        self.claims.with_label_values(&[kind]).inc();
        if is_takeover {
            self.takeovers.with_label_values(&[kind]).inc();
        }
        OpenGuard::new(&self.running)
    }

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
            "Subscriptions of replies, by where they start: at the beginning, or resumed after a cursor.",
            &["start"],
        );
        Self {
            ended: counters(
                registry,
                "pollux_replies_ended_total",
                "Replies that ended, by status and failure code (none without a failure).",
                &["status", "failure"],
            ),
            durations: histogram(
                registry,
                "pollux_reply_duration_seconds",
                "Time from the request of a reply to its completion.",
                &SLOW,
            ),
            retries: counters(
                registry,
                "pollux_reply_retries_total",
                "Attempts at replies that failed and are retried, by failure code.",
                &["failure"],
            ),
            from_beginning: subscriptions.with_label_values(&["beginning"]),
            resumed: subscriptions.with_label_values(&["cursor"]),
            rereads: counter(
                registry,
                "pollux_reply_rereads_total",
                "Times that a subscriber of a reply lagged or missed entries, and read the log and the row again.",
            ),
        }
    }

    /// Counts a reply that ended. `completed_after` is the time since its request, if it is complete.
    pub fn ended(&self, status: &str, failure: Option<&str>, completed_after: Option<Duration>) {
        self.ended.with_label_values(&[status, failure.unwrap_or("none")]).inc();
        if let Some(duration) = completed_after {
            observe(&self.durations, duration);
        }
    }

    pub fn retried(&self, failure: &str) {
        self.retries.with_label_values(&[failure]).inc();
    }

    pub fn subscribed(&self, is_resumed: bool) {
        if is_resumed { self.resumed.inc() } else { self.from_beginning.inc() }
    }

    pub fn reread(&self) {
        self.rereads.inc();
    }
}
