//! Maps errors to reply failures: [Gemini's errors](https://ai.google.dev/gemini-api/docs/troubleshooting) in
//! [Google's error model](https://cloud.google.com/apis/design/errors#error_model).

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use entity::message::FailureCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use super::{lenient, objects::Objects};
use crate::ports::model::{ModelError, Retry};

const IMMEDIATELY: Retry = Retry::After { at_least: Duration::ZERO };
/// Replaces waits that do not fit into a `Duration`.
const FOREVER: Duration = Duration::MAX;

/// [HTTP's dates](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7): the current format and the two obsolete ones.
const DATE_FORMATS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The value of `error` in `{"error": {…}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    #[serde(deserialize_with = "lenient::count")]
    code: Option<i32>,
    #[serde(deserialize_with = "lenient::or_ignore")]
    message: String,
    #[serde(deserialize_with = "lenient::or_ignore")]
    status: String,
    #[serde(deserialize_with = "lenient::or_ignore")]
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

    /// From an HTTP response. The status decides; the body may add details.
    pub(super) fn of_response(status: u16, headers: &HeaderMap, body: &str, now: DateTime<Utc>) -> Self {
        // Skips framing such as `data:`.
        let json = &body[body.find(['{', '[']).unwrap_or(body.len())..];
        let objects = Objects::default().push(json);
        let envelope = objects.iter().find_map(|object| serde_json::from_str::<Envelope>(object).ok());
        let mut error = envelope.map(|envelope| Self::of_event(envelope.error)).unwrap_or_default();
        error.code = Some(i32::from(status));
        error.retry_after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        error
    }

    pub(super) fn is_unknown_model(&self) -> bool {
        self.http_status() == 404
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
        let message: String = self.message.chars().take(300).collect();
        let status = self.http_status();
        tracing::warn!(code = status, status = self.status, message, "gemini returned an error");
        let later = Retry::After { at_least: self.required_wait() };
        match status {
            // Redirects are not followed: they would send the key to another host.
            300..=399 | 401 | 402 | 403 | 407 => misconfigured(),
            _ if self.has_reason("API_KEY_") => misconfigured(),
            400 if self.rejects_the_project() => misconfigured(),
            404 => failure(FailureCode::ModelUnavailable, "This model is not available.", Retry::Never),
            408 | 504 => failure(FailureCode::TimedOut, TIMED_OUT, later),
            429 if self.is_daily() => rate_limited(Retry::Never),
            429 => rate_limited(later),
            // 499: cancelled, but not by this client.
            499..=599 => failure(FailureCode::ModelUnavailable, "The model is overloaded or down.", later),
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

    /// Whether one of the [reasons](https://docs.cloud.google.com/apis/docs/errors#error_info) begins with this prefix.
    fn has_reason(&self, prefix: &str) -> bool {
        let mut reasons = self.of_type("google.rpc.ErrorInfo").filter_map(|info| info["reason"].as_str());
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

    /// Whether a daily quota is exhausted. It lasts too long for a retry.
    fn is_daily(&self) -> bool {
        let violations =
            self.of_type("google.rpc.QuotaFailure").filter_map(|failure| failure["violations"].as_array());
        violations
            .flatten()
            .any(|violation| violation["quotaId"].as_str().is_some_and(|id| id.contains("PerDay")))
    }

    /// The wait that the provider requires: the longer of the body's and the header's.
    fn required_wait(&self) -> Duration {
        self.retry_delay().max(self.retry_after).unwrap_or_default()
    }

    /// A [protobuf duration](https://protobuf.dev/programming-guides/json/), such as `"34.4s"`.
    fn retry_delay(&self) -> Option<Duration> {
        let info = self.of_type("google.rpc.RetryInfo").next()?;
        seconds(info["retryDelay"].as_str()?.strip_suffix('s')?)
    }
}

/// [`Retry-After`](https://www.rfc-editor.org/rfc/rfc9110#name-retry-after): seconds or a date.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    let date = DATE_FORMATS.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok());
    match date {
        Some(date) => date.and_utc().signed_duration_since(now).to_std().ok(),
        None => seconds(value),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(FOREVER))
}

const TIMED_OUT: &str = "The model took too long.";

fn failure(code: FailureCode, message: &str, retry: Retry) -> ModelError {
    ModelError { code, message: message.to_owned(), retry }
}

fn misconfigured() -> ModelError {
    failure(
        FailureCode::Misconfigured,
        "The server's access to the model is misconfigured. Contact the operator of this server.",
        Retry::Never,
    )
}

fn rate_limited(retry: Retry) -> ModelError {
    failure(FailureCode::ModelRateLimited, "The model has received too many requests.", retry)
}

pub(super) fn blocked() -> ModelError {
    failure(FailureCode::ContentBlocked, "The model's safety rules blocked this conversation.", Retry::Never)
}

/// The stream ended, or could not be parsed, before its finish reason.
pub(super) fn truncated() -> ModelError {
    failure(FailureCode::ModelUnavailable, "The model's answer ended before it was complete.", IMMEDIATELY)
}

pub(super) fn timed_out() -> ModelError {
    tracing::warn!("gemini call timed out");
    failure(FailureCode::TimedOut, TIMED_OUT, IMMEDIATELY)
}

/// The call failed without an HTTP response.
pub(super) fn of_transport(error: &reqwest::Error) -> ModelError {
    // The error is not logged, because it contains the URL, which may be internal to the operator.
    tracing::warn!(timeout = error.is_timeout(), connect = error.is_connect(), "gemini call failed");
    if error.is_timeout() && !error.is_connect() {
        failure(FailureCode::TimedOut, TIMED_OUT, IMMEDIATELY)
    } else {
        failure(FailureCode::ModelUnavailable, "The model could not be reached.", IMMEDIATELY)
    }
}
