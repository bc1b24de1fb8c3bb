//! Metrics of the process, in [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/).
//!
//! ```text
//!  app ──► Metrics ──► one struct of handles for each part, cloned into that part ──► atomic counters ──┐
//!                                                                                                      ├──► text, on each scrape
//!  GET /metrics ──► gauges that are read on a scrape: queue, Stripe events, connections ───────────────┘
//! ```
//!
//! Frequent events, such as chunks of replies, are counted through a handle that was looked up once by its labels. The number of
//! different values of each label is limited: names that come from clients are limited in number, and all other values come from
//! code or settings.

mod graphql;
mod jobs;
mod models;
mod process;
mod state;
mod transports;

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

pub use graphql::{GraphqlMetrics, OperationMetrics};
pub use jobs::{JobMetrics, ReplyMetrics};
pub use models::{ModelHandles, ModelMetrics};
pub use state::{ConnectionCounts, QueueState, StateMetrics};
pub use transports::{GaugeGuard, Transport, TransportMetrics};

/// The media type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The upper bounds of the histogram buckets for durations of GraphQL operations, in seconds.
const FAST_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// The upper bounds of the histogram buckets for durations of jobs, replies and model calls, in seconds.
const SLOW_BUCKETS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];

/// The metrics of a process.
pub struct Metrics {
    registry: Registry,
    pub graphql: GraphqlMetrics,
    pub transports: TransportMetrics,
    pub replies: ReplyMetrics,
    pub jobs: JobMetrics,
    pub models: ModelMetrics,
    pub caches: CacheMetrics,
    /// Stripe events, by type and result.
    pub stripe_events: EventCounter,
    /// Deliveries of one-time passwords, by channel and result.
    pub otp_deliveries: EventCounter,
    /// Database statements and transactions that failed.
    pub database_errors: Counter,
    /// Redis commands that failed.
    pub redis_errors: Counter,
    pub state: StateMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let build =
            gauges(&registry, "pollux_build_info", "The version of Pollux; the value is 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            graphql: GraphqlMetrics::new(&registry),
            transports: TransportMetrics::new(&registry),
            replies: ReplyMetrics::new(&registry),
            jobs: JobMetrics::new(&registry),
            models: ModelMetrics::new(&registry),
            caches: CacheMetrics::new(&registry),
            stripe_events: EventCounter(counters(
                &registry,
                "pollux_stripe_events_total",
                "Stripe events, by type and result.",
                &["type", "result"],
            )),
            otp_deliveries: EventCounter(counters(
                &registry,
                "pollux_otp_deliveries_total",
                "Deliveries of one-time passwords, by channel and result.",
                &["channel", "result"],
            )),
            database_errors: Counter(counter(
                &registry,
                "pollux_database_errors_total",
                "Database statements and transactions that failed.",
            )),
            redis_errors: Counter(counter(
                &registry,
                "pollux_redis_errors_total",
                "Redis commands that failed.",
            )),
            state: StateMetrics::new(&registry),
            registry,
        }
    }
}

impl Metrics {
    /// All metrics as text.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 * 1024);
        // Writing to memory cannot fail, and the registry has checked every metric.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        process::append(&mut text);
        text
    }
}

/// A counter without labels.
#[derive(Clone)]
pub struct Counter(IntCounter);

/// A counter that is not exported.
impl Default for Counter {
    fn default() -> Self {
        Self(IntCounter::new("unregistered", "Not exported.").expect("the name is valid"))
    }
}

impl Counter {
    pub fn increment(&self) {
        self.0.inc();
    }
}

/// Counters with two labels, for rare events: each event looks up its counter by the labels.
#[derive(Clone)]
pub struct EventCounter(IntCounterVec);

impl EventCounter {
    /// Counts an event. Both values must come from code, never from a client.
    pub fn increment(&self, label: &str, result: &str) {
        self.0.with_label_values(&[label, result]).inc();
    }
}

/// Hits and misses of the caches of a process.
#[derive(Clone)]
pub struct CacheMetrics(IntCounterVec);

impl CacheMetrics {
    fn new(registry: &Registry) -> Self {
        let help = "Lookups in caches, by cache and result (hit or miss).";
        Self(counters(registry, "pollux_cache_requests_total", help, &["cache", "result"]))
    }

    /// The handle of one cache.
    #[must_use]
    pub fn of(&self, cache: &'static str) -> HitCounter {
        let result = |result| self.0.with_label_values(&[cache, result]);
        HitCounter { hit: result("hit"), miss: result("miss") }
    }
}

/// Hits and misses of one cache.
#[derive(Clone)]
pub struct HitCounter {
    hit: IntCounter,
    miss: IntCounter,
}

impl HitCounter {
    /// Counts a lookup.
    pub fn count(&self, is_hit: bool) {
        if is_hit { self.hit.inc() } else { self.miss.inc() }
    }
}

/// Registers a metric.
///
/// # Panics
/// Two metrics have the same name, or a name is invalid: a mistake in this module, which every test would find.
fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("names of metrics and labels are valid");
    registry.register(Box::new(metric.clone())).expect("names of metrics are unique");
    metric
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::new(name, help))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, bounds: &[f64]) -> Histogram {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
}

fn histograms(registry: &Registry, name: &str, help: &str, bounds: &[f64], labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    register(registry, HistogramVec::new(options, labels))
}

fn observe(histogram: &Histogram, duration: Duration) {
    histogram.observe(duration.as_secs_f64());
}
