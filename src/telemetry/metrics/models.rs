//! Metrics of model calls.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{SLOW_BUCKETS, counters, histograms, observe};

#[derive(Clone)]
pub struct ModelMetrics {
    calls: IntCounterVec,
    durations: HistogramVec,
    first_tokens: HistogramVec,
    chunks: IntCounterVec,
    tokens: IntCounterVec,
}

/// The handles of the metrics of one model.
#[derive(Clone)]
pub struct ModelHandles {
    model: String,
    calls: IntCounterVec,
    duration: Histogram,
    first_token: Histogram,
    chunks: IntCounter,
    tokens: [IntCounter; 3],
}

impl ModelMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            calls: counters(
                registry,
                "pollux_model_calls_total",
                "Model calls that ended, by model and outcome: complete, cancelled, truncated or a failure code.",
                &["model", "outcome"],
            ),
            durations: histograms(
                registry,
                "pollux_model_call_duration_seconds",
                "Durations of model calls, by model.",
                &SLOW_BUCKETS,
                &["model"],
            ),
            first_tokens: histograms(
                registry,
                "pollux_model_first_token_seconds",
                "Time from the start of a model call to its first text, by model.",
                &SLOW_BUCKETS,
                &["model"],
            ),
            chunks: counters(
                registry,
                "pollux_model_chunks_total",
                "Chunks of text received from models, by model.",
                &["model"],
            ),
            tokens: counters(
                registry,
                "pollux_model_tokens_total",
                "Tokens that models report, by model and type: prompt, output, or thoughts. The output includes the thoughts.",
                &["model", "type"],
            ),
        }
    }

    /// The handles of a model. It must come from the settings and not from a client, because it is a value of a label.
    #[must_use]
    pub fn of(&self, model: &str) -> ModelHandles {
        ModelHandles {
            model: model.to_owned(),
            calls: self.calls.clone(),
            duration: self.durations.with_label_values(&[model]),
            first_token: self.first_tokens.with_label_values(&[model]),
            chunks: self.chunks.with_label_values(&[model]),
            tokens: ["prompt", "output", "thoughts"]
                .map(|kind| self.tokens.with_label_values(&[model, kind])),
        }
    }
}

impl ModelHandles {
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Counts a chunk of text.
    pub fn chunk(&self) {
        self.chunks.inc();
    }

    /// Records the time from the start of a call to its first text.
    pub fn first_token(&self, after: Duration) {
        observe(&self.first_token, after);
    }

    /// Counts a call that ended. `tokens` are the numbers of tokens of the prompt, of the output and of the thoughts.
    pub fn ended(&self, outcome: &str, duration: Duration, tokens: [i32; 3]) {
        self.calls.with_label_values(&[&*self.model, outcome]).inc();
        observe(&self.duration, duration);
        for (counter, count) in self.tokens.iter().zip(tokens) {
            counter.inc_by(u64::try_from(count).unwrap_or_default());
        }
    }
}
