//! Maps errors to reply failures: [OpenAI's errors](https://platform.openai.com/docs/guides/error-codes), and the similar errors
//! of compatible servers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::client::API;
use crate::{
    adapters::model_stream::{Objects, failure, lenient},
    ports::model::ModelError,
};

/// The value of `error` in `{"error": {…}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    message: String,
    #[serde(rename = "type", deserialize_with = "lenient::invalid_as_default")]
    kind: String,
    /// A name or an HTTP status.
    code: Value,
    /// The parameter that the error is about.
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    param: String,
    /// The HTTP status of the response; none for an error in the stream of events.
    #[serde(skip)]
    status: Option<u16>,
    /// The delay that the response's headers require.
    #[serde(skip)]
    wait: Duration,
}

/// The body of an error response. Some frameworks describe invalid parameters in `detail`, each with its path in `loc`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: Option<Value>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    detail: Vec<InvalidParameter>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InvalidParameter {
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    loc: Vec<String>,
}

impl ApiError {
    /// From the `error` field of an event.
    pub(super) fn of_event(error: Value) -> Self {
        match error {
            Value::String(message) => Self { message, ..Self::default() },
            error => serde_json::from_value(error).unwrap_or_default(),
        }
    }

    /// From an HTTP response. The response's status takes precedence over that in the body. The body, which may also be plain
    /// text, may add details.
    pub(super) fn of_response(status: u16, headers: &HeaderMap, body: &str, now: DateTime<Utc>) -> Self {
        let json = &body[body.find(['{', '[']).unwrap_or(body.len())..];
        let object = Objects::default().push(json).into_iter().next().unwrap_or_default();
        let mut error = match serde_json::from_str::<ErrorBody>(&object).unwrap_or_default() {
            ErrorBody { error: Some(error), .. } => Self::of_event(error),
            ErrorBody { detail, .. } => {
                // vLLM sends the fields of an error at the top level of the object, not in `error`.
                let error: Self = serde_json::from_str(&object).unwrap_or_default();
                let invalid = detail.into_iter().find_map(|detail| detail.loc.into_iter().last());
                Self { param: invalid.unwrap_or(error.param), ..error }
            }
        };
        error.status = Some(status);
        // OpenAI sends `retry-after-ms` in addition to `Retry-After`, which is less precise. The number of milliseconds is parsed
        // as seconds and then divided by 1000.
        let retry_after_ms =
            headers.get("retry-after-ms").and_then(|value| failure::parse_seconds(value.to_str().ok()?));
        let wait = retry_after_ms.map(|wait| wait / 1000).or_else(|| failure::retry_after(headers, now));
        error.wait = wait.unwrap_or_default();
        error
    }

    /// Whether the request is invalid because of this parameter.
    pub(super) fn rejects(&self, parameter: &str) -> bool {
        // Messages quote the names of parameters. The quotes are compared too, because a name may be part of another name.
        let is_quoted = |quote: char| self.message.contains(&format!("{quote}{parameter}{quote}"));
        let names_parameter =
            self.param == parameter || self.param.is_empty() && ['\'', '"', '`'].into_iter().any(is_quoted);
        matches!(self.http_status(), 400 | 422) && names_parameter
    }

    /// The HTTP status of the response. For an error in the stream, the code if it is an HTTP status, otherwise the HTTP status
    /// that corresponds to the name of the error.
    fn http_status(&self) -> i32 {
        let numeric = lenient::count(&self.code).ok().flatten().filter(|code| (300..=599).contains(code));
        let name = if self.kind.is_empty() { self.code.as_str().unwrap_or_default() } else { &self.kind };
        match (self.status, numeric, name) {
            (Some(status), _, _) => i32::from(status),
            (_, Some(code), _) => code,
            (_, _, "invalid_request_error" | "BadRequestError" | "invalid_prompt") => 400,
            (_, _, "authentication_error" | "permission_error" | "permission_denied_error") => 401,
            (_, _, "not_found_error" | "NotFoundError") => 404,
            (_, _, "rate_limit_error" | "rate_limit_exceeded" | "requests" | "tokens") => 429,
            (_, _, "timeout" | "timeout_error") => 504,
            // Unknown errors are retried.
            _ => 500,
        }
    }

    /// The failure of the reply. The provider's message is logged, not shown.
    pub(super) fn into_failure(self) -> ModelError {
        let status = self.http_status();
        let name = self.code.as_str().unwrap_or_default();
        let message = failure::shorten_for_log(&self.message);
        tracing::warn!(
            api = API,
            code = status,
            status = name,
            message,
            "the model's provider returned an error"
        );
        match (status, name, self.kind.as_str()) {
            (_, "content_filter" | "content_policy_violation", _) => failure::blocked(),
            (400 | 404, "model_not_found", _) => failure::unknown_model(),
            // The account's credit is used up, which a retry does not change.
            (429, "insufficient_quota" | "billing_hard_limit_reached", _)
            | (429, _, "insufficient_quota") => failure::misconfigured(),
            _ => failure::of_status(status, self.wait),
        }
    }
}
