//! Metrics of GraphQL operations.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{FAST_BUCKETS, counters, histograms, observe};

/// The maximum number of operation names that have their own label. It is limited because clients choose the names. Further names
/// count as [`OTHER`].
const MAX_NAMES: usize = 100;
/// Longer names count as [`OTHER`].
const MAX_NAME_LENGTH: usize = 64;
const OTHER: &str = "other";
const UNNAMED: &str = "unnamed";

#[derive(Clone)]
pub struct GraphqlMetrics {
    operations: IntCounterVec,
    durations: HistogramVec,
    errors: IntCounterVec,
    /// The names that have their own label.
    names: Arc<Mutex<HashSet<String>>>,
}

/// The handles of the metrics of one operation, which are kept with its document.
#[derive(Clone)]
pub struct OperationMetrics {
    kind: &'static str,
    name: Arc<str>,
    started: IntCounter,
    /// None for a subscription, because its client decides how long it lasts.
    duration: Option<Histogram>,
}

impl GraphqlMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let labels = ["type", "operation"];
        Self {
            operations: counters(
                registry,
                "pollux_graphql_operations_total",
                "Accepted operations, by type and name.",
                &labels,
            ),
            durations: histograms(
                registry,
                "pollux_graphql_operation_duration_seconds",
                "Execution time of queries and mutations, by type and name.",
                &FAST_BUCKETS,
                &labels,
            ),
            errors: counters(
                registry,
                "pollux_graphql_errors_total",
                "Errors in responses, by their code.",
                &["code"],
            ),
            names: Arc::default(),
        }
    }

    /// The handles of an operation whose document was accepted. `kind` is `query`, `mutation` or `subscription`.
    #[must_use]
    pub fn operation(&self, kind: &'static str, name: Option<&str>) -> OperationMetrics {
        let name = name.map_or(UNNAMED, |name| if self.admit_name(name) { name } else { OTHER });
        let duration = (kind != "subscription").then(|| self.durations.with_label_values(&[kind, name]));
        let started = self.operations.with_label_values(&[kind, name]);
        OperationMetrics { kind, name: name.into(), started, duration }
    }

    /// Counts an error. `code` must be one of the API's codes.
    pub fn error(&self, code: &str) {
        self.errors.with_label_values(&[code]).inc();
    }

    /// Gives the name its own label if the limits allow it. Returns whether it has one.
    fn admit_name(&self, name: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(name) {
            return true;
        }
        let is_allowed = names.len() < MAX_NAMES && name.len() <= MAX_NAME_LENGTH;
        is_allowed && names.insert(name.to_owned())
    }
}

impl OperationMetrics {
    /// The type and the name, such as `mutation Send`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Counts the start of the operation.
    pub fn started(&self) {
        self.started.inc();
    }

    /// Records the operation's duration, except that of a subscription.
    pub fn ended(&self, duration: Duration) {
        if let Some(histogram) = &self.duration {
            observe(histogram, duration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn operation_names_are_limited_in_number_and_length() {
        let metrics = Metrics::default();
        metrics.graphql.operation("query", Some(&"x".repeat(65))).started();
        for number in 0..300 {
            metrics.graphql.operation("query", Some(&format!("Q{number}"))).started();
        }
        metrics.graphql.operation("query", Some("Q7")).started();
        metrics.graphql.operation("mutation", None).started();
        let text = String::from_utf8(metrics.render()).unwrap();
        let count = |labels: &str| {
            let sample = format!("pollux_graphql_operations_total{{operation={labels}}} ");
            text.lines().find_map(|line| line.strip_prefix(&sample)?.parse::<u64>().ok())
        };
        assert_eq!(count("\"Q7\",type=\"query\""), Some(2));
        assert_eq!(count("\"other\",type=\"query\""), Some(201));
        assert_eq!(count("\"unnamed\",type=\"mutation\""), Some(1));
        assert_eq!(text.matches("pollux_graphql_operations_total{").count(), 102);
    }
}
