//! Maps errors to reply failures: [Gemini's errors](https://ai.google.dev/gemini-api/docs/troubleshooting) in
//! [Google's error model](https://cloud.google.com/apis/design/errors#error_model).

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    adapters::model_stream::{Objects, failure, lenient},
    ports::model::{ModelError, Retry},
};

/// The value of `error` in `{"error": {…}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    #[serde(deserialize_with = "lenient::count")]
    code: Option<i32>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    message: String,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    status: String,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    details: Vec<Value>,
    /// The response's `Retry-After`.
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Envelope {
    error: Value,
}

impl ApiError {
    /// From the `error` field of an event.
    pub(super) fn of_event(error: Value) -> Self {
        match error {
            Value::String(message) => Self { message, ..Self::default() },
            error => serde_json::from_value(error).unwrap_or_default(),
        }
    }

    /// From an HTTP response. The response's status takes precedence over that in the body; the body may add details.
    pub(super) fn of_response(status: u16, headers: &HeaderMap, body: &str, now: DateTime<Utc>) -> Self {
        // Skips the framing before the JSON, such as `data:`.
        let json = &body[body.find(['{', '[']).unwrap_or(body.len())..];
        let objects = Objects::default().push(json);
        let envelope = objects.iter().find_map(|object| serde_json::from_str::<Envelope>(object).ok());
        let mut error = envelope.map(|envelope| Self::of_event(envelope.error)).unwrap_or_default();
        error.code = Some(i32::from(status));
        error.retry_after = failure::retry_after(headers, now);
        error
    }

    /// The code if it is an HTTP status, otherwise the HTTP status for [the status name](https://google.aip.dev/193).
    fn http_status(&self) -> i32 {
        match (self.code, self.status.as_str()) {
            (Some(code @ 300..=599), _) => code,
            (_, "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE") => 400,
            (_, "UNAUTHENTICATED") => 401,
            (_, "PERMISSION_DENIED") => 403,
            (_, "NOT_FOUND") => 404,
            (_, "RESOURCE_EXHAUSTED") => 429,
            (_, "DEADLINE_EXCEEDED") => 504,
            // Unknown errors are retried.
            _ => 500,
        }
    }

    /// The failure of the reply. The provider's message is logged, not shown.
    pub(super) fn into_failure(self) -> ModelError {
        let code = self.http_status();
        let message = failure::shorten_for_log(&self.message);
        tracing::warn!(
            api = "gemini",
            code,
            status = self.status,
            message,
            "the model's provider returned an error"
        );
        match code {
            _ if self.has_reason("API_KEY_") => failure::misconfigured(),
            400 if self.rejects_the_project() => failure::misconfigured(),
            429 if self.exceeds_daily_quota() => failure::rate_limited(Retry::Never),
            _ => failure::of_status(code, self.required_wait()),
        }
    }

    /// The details whose type has this name.
    fn details_of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.details
            .iter()
            .filter(move |detail| detail["@type"].as_str().is_some_and(|url| url.ends_with(name)))
    }

    /// Whether one of the [reasons](https://docs.cloud.google.com/apis/docs/errors#error_info) begins with this prefix.
    fn has_reason(&self, prefix: &str) -> bool {
        let mut reasons =
            self.details_of_type("google.rpc.ErrorInfo").filter_map(|info| info["reason"].as_str());
        reasons.any(|reason| reason.starts_with(prefix))
    }

    /// Whether a 400 is about the key, the billing or the location of the project rather than the conversation.
    ///
    /// Billing and location are [FAILED_PRECONDITION](https://ai.google.dev/gemini-api/docs/troubleshooting). For an invalid
    /// key, the details contain a reason, which [`has_reason`](Self::has_reason) finds. Some gateways remove the details, so
    /// that only the message remains.
    fn rejects_the_project(&self) -> bool {
        let without_details = self.details.is_empty();
        self.status == "FAILED_PRECONDITION"
            || without_details && self.message.to_ascii_lowercase().starts_with("api key ")
    }

    /// Whether the model rejects the thinking budget, because it supports none ("Thinking is not enabled for this model") or not
    /// this value ("Budget 0 is invalid. This model only works in thinking mode.").
    pub(super) fn rejects_the_thinking_budget(&self) -> bool {
        self.http_status() == 400 && self.message.to_ascii_lowercase().contains("thinking")
    }

    /// Whether a daily quota is exhausted. It is reset too late for a retry.
    fn exceeds_daily_quota(&self) -> bool {
        let violations = self
            .details_of_type("google.rpc.QuotaFailure")
            .filter_map(|failure| failure["violations"].as_array());
        violations
            .flatten()
            .any(|violation| violation["quotaId"].as_str().is_some_and(|id| id.contains("PerDay")))
    }

    /// The delay that the provider requires before a retry: the longer of that in the body and that in the header.
    fn required_wait(&self) -> Duration {
        self.retry_delay().max(self.retry_after).unwrap_or_default()
    }

    /// A [protobuf duration](https://protobuf.dev/programming-guides/json/), such as `"34.4s"`.
    fn retry_delay(&self) -> Option<Duration> {
        let info = self.details_of_type("google.rpc.RetryInfo").next()?;
        failure::parse_seconds(info["retryDelay"].as_str()?.strip_suffix('s')?)
    }
}
