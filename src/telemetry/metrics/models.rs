//! Metrics of model calls.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{SLOW, counters, histograms, observe};

#[derive(Clone)]
pub struct ModelMetrics {
    calls: IntCounterVec,
    durations: HistogramVec,
    first_tokens: HistogramVec,
    chunks: IntCounterVec,
    tokens: IntCounterVec,
}

/// The handles of one model.
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
                "Duration of model calls.",
                &SLOW,
                &["model"],
            ),
            first_tokens: histograms(
                registry,
                "pollux_model_first_token_seconds",
                "Time from a model call to its first text.",
                &SLOW,
                &["model"],
            ),
            chunks: counters(
                registry,
                "pollux_model_chunks_total",
                "Texts received from models.",
                &["model"],
            ),
            tokens: counters(
                registry,
                "pollux_model_tokens_total",
                "Tokens as models report them: prompt, output, and thoughts, which output includes.",
                &["model", "type"],
            ),
        }
    }

    /// The handles of a model, which must be one of the settings.
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

    pub fn chunk(&self) {
        self.chunks.inc();
    }

    pub fn first_token(&self, after: Duration) {
        observe(&self.first_token, after);
    }

    /// Counts a call that ended. `tokens` are those of the prompt, of the output and of thoughts.
    pub fn ended(&self, outcome: &str, duration: Duration, tokens: [i32; 3]) {
        self.calls.with_label_values(&[&*self.model, outcome]).inc();
        observe(&self.duration, duration);
        for (counter, count) in self.tokens.iter().zip(tokens) {
            counter.inc_by(u64::try_from(count).unwrap_or_default());
        }
    }
}
