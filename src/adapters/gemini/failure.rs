//! What went wrong, in the product's terms: [Gemini's errors](https://ai.google.dev/gemini-api/docs/troubleshooting) in
//! [Google's error model](https://cloud.google.com/apis/design/errors#error_model).

use std::time::Duration;

use entity::message::FailureCode;
use serde::Deserialize;
use serde_json::Value;

use crate::ports::model::{ModelError, Retry};

const AT_ONCE: Retry = Retry::After { at_least: Duration::ZERO };

/// `{"error": {…}}`'s inside.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    code: u16,
    message: String,
    status: String,
    details: Vec<Value>,
}

#[derive(Deserialize)]
struct Envelope {
    error: ApiError,
}

impl ApiError {
    /// Reads an error's JSON, which sometimes stands in an array of one.
    pub(super) fn read(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        let value = match value {
            Value::Array(mut items) if items.len() == 1 => items.remove(0),
            other => other,
        };
        serde_json::from_value::<Envelope>(value).ok().map(|envelope| envelope.error)
    }

    /// The error of an HTTP answer whose body may or may not say more.
    pub(super) fn of_response(status: u16, body: &str) -> Self {
        let mut error = Self::read(body).unwrap_or_default();
        if error.code == 0 {
            error.code = status;
        }
        error
    }

    pub(super) fn is_unknown_model(&self) -> bool {
        self.code == 404
    }

    /// What it means for a reply. The provider's words go to the log only.
    pub(super) fn into_failure(self) -> ModelError {
        let words: String = self.message.chars().take(300).collect();
        tracing::warn!(code = self.code, status = self.status, message = words, "Gemini refused");
        let wait = Retry::After { at_least: self.retry_delay().unwrap_or_default() };
        match self.code {
            400 if self.has_reason("API_KEY_INVALID") => misconfigured(),
            401 | 403 => misconfigured(),
            404 => failure(FailureCode::ModelUnavailable, "This model is not available.", Retry::Never),
            408 | 504 => failure(FailureCode::TimedOut, "The model took too long.", wait),
            429 if self.is_daily() => rate_limited(Retry::Never),
            429 => rate_limited(wait),
            500 | 502 | 503 => {
                failure(FailureCode::ModelUnavailable, "The model is overloaded or down.", wait)
            }
            _ => failure(
                FailureCode::ModelRejected,
                "The model did not accept this conversation.",
                Retry::Never,
            ),
        }
    }

    fn of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.details
            .iter()
            .filter(move |detail| detail["@type"].as_str().is_some_and(|of| of.ends_with(name)))
    }

    fn has_reason(&self, reason: &str) -> bool {
        self.of_type("google.rpc.ErrorInfo").any(|info| info["reason"] == reason)
    }

    /// A day's quota will not come back within a retry.
    fn is_daily(&self) -> bool {
        let violations =
            self.of_type("google.rpc.QuotaFailure").filter_map(|failure| failure["violations"].as_array());
        violations
            .flatten()
            .any(|violation| violation["quotaId"].as_str().is_some_and(|id| id.contains("PerDay")))
    }

    /// A [protobuf duration](https://protobuf.dev/programming-guides/json/), such as `"34.4s"`.
    fn retry_delay(&self) -> Option<Duration> {
        let info = self.of_type("google.rpc.RetryInfo").next()?;
        let seconds: f64 = info["retryDelay"].as_str()?.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

fn failure(code: FailureCode, message: &str, retry: Retry) -> ModelError {
    ModelError { code, message: message.to_owned(), retry }
}

fn misconfigured() -> ModelError {
    failure(
        FailureCode::Misconfigured,
        "The server's access to the model is not set up rightly.",
        Retry::Never,
    )
}

fn rate_limited(retry: Retry) -> ModelError {
    failure(FailureCode::ModelRateLimited, "The model is asked too often.", retry)
}

pub(super) fn blocked() -> ModelError {
    failure(FailureCode::ContentBlocked, "The model's safety rules blocked this.", Retry::Never)
}

/// The stream ended, or made no sense, before it said that it was whole.
pub(super) fn cut_off() -> ModelError {
    failure(FailureCode::ModelUnavailable, "The model's answer broke off.", AT_ONCE)
}

/// The call failed below HTTP.
pub(super) fn of_transport(error: &reqwest::Error) -> ModelError {
    // Without the URL, which may be an operator's own.
    tracing::warn!(timeout = error.is_timeout(), connect = error.is_connect(), "Gemini did not answer");
    if error.is_timeout() && !error.is_connect() {
        failure(FailureCode::TimedOut, "The model took too long.", AT_ONCE)
    } else {
        failure(FailureCode::ModelUnavailable, "The model could not be reached.", AT_ONCE)
    }
}
