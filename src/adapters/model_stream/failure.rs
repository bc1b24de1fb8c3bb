//! The reply failures that are the same for all providers, and the delay that a response requires before a retry.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use entity::message::FailureCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::ports::model::{ModelError, Retry};

const IMMEDIATELY: Retry = Retry::After { at_least: Duration::ZERO };
/// Replaces delays that do not fit into a `Duration`.
const FOREVER: Duration = Duration::MAX;
const TIMED_OUT: &str = "The model took too long.";

/// [HTTP's date formats](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7): the current one and the two obsolete ones.
const DATE_FORMATS: [&str; 3] =
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// The failure that an HTTP status indicates by itself, without details of the error. If the status permits a retry, the retry
/// waits for at least `wait`.
pub fn of_status(status: i32, wait: Duration) -> ModelError {
    let later = Retry::After { at_least: wait };
    match status {
        // A redirect means that the base URL is wrong. It is not followed, because that would send the API key to another host.
        300..=399 | 401 | 402 | 403 | 407 => misconfigured(),
        404 => unknown_model(),
        408 | 504 => failure(FailureCode::TimedOut, TIMED_OUT, later),
        429 => rate_limited(later),
        // 499 means that the call was cancelled. This client did not cancel it, so a retry may succeed.
        499..=599 => failure(FailureCode::ModelUnavailable, "The model is overloaded or down.", later),
        _ => failure(FailureCode::ModelRejected, "The model did not accept this conversation.", Retry::Never),
    }
}

/// The delay that [`Retry-After`](https://www.rfc-editor.org/rfc/rfc9110#name-retry-after) requires: seconds or a date. None if
/// the header is missing or invalid, or the date has passed.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let date = DATE_FORMATS.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok());
    match date {
        Some(date) => date.and_utc().signed_duration_since(now).to_std().ok(),
        None => parse_seconds(value),
    }
}

/// Parses a number of seconds, which may have a fraction.
pub fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(FOREVER))
}

/// Shortens a provider's error message for the log. Users do not see the message.
pub fn shorten_for_log(message: &str) -> String {
    message.chars().take(300).collect()
}

fn failure(code: FailureCode, message: &str, retry: Retry) -> ModelError {
    ModelError { code, message: message.to_owned(), retry, is_unreachable: false }
}

pub fn misconfigured() -> ModelError {
    failure(
        FailureCode::Misconfigured,
        "The server's access to the model is misconfigured. Contact the operator of this server.",
        Retry::Never,
    )
}

/// Has the same code as the failure of an overloaded model, but a retry would not help.
pub fn unknown_model() -> ModelError {
    failure(FailureCode::ModelUnavailable, "This model is not available.", Retry::Never)
}

pub fn rate_limited(retry: Retry) -> ModelError {
    failure(FailureCode::ModelRateLimited, "The model has received too many requests.", retry)
}

pub fn blocked() -> ModelError {
    failure(FailureCode::ContentBlocked, "The model's safety rules blocked this conversation.", Retry::Never)
}

/// The stream ended or became invalid before the model reported a finish reason.
pub fn truncated() -> ModelError {
    failure(FailureCode::ModelUnavailable, "The model's answer ended before it was complete.", IMMEDIATELY)
}

/// A time limit of [`Timeouts`](super::Timeouts) has passed.
pub fn timed_out(api: &'static str) -> ModelError {
    tracing::warn!(api, "model call timed out");
    failure(FailureCode::TimedOut, TIMED_OUT, IMMEDIATELY)
}

/// No HTTP response arrived, or the connection failed while the response body was read.
pub fn of_transport(api: &'static str, error: &reqwest::Error) -> ModelError {
    // The error is not logged, because it contains the URL, and the log may be read by people who must not know internal hosts.
    tracing::warn!(api, timeout = error.is_timeout(), connect = error.is_connect(), "model call failed");
    // A timeout while connecting means that the provider is unreachable.
    if error.is_timeout() && !error.is_connect() {
        failure(FailureCode::TimedOut, TIMED_OUT, IMMEDIATELY)
    } else {
        let unavailable =
            failure(FailureCode::ModelUnavailable, "The model could not be reached.", IMMEDIATELY);
        ModelError { is_unreachable: error.is_connect(), ..unavailable }
    }
}
