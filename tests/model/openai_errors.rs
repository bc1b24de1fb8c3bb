//! Errors of OpenAI-compatible servers: as JSON of several forms, as plain text, and in the middle of a stream.

use std::time::Duration;

use entity::message::FailureCode::{
    self, ContentBlocked, Misconfigured, ModelRateLimited, ModelRejected, ModelUnavailable, TimedOut,
};
use pollux::ports::model::Retry;
use serde_json::{Value, json};

use crate::support::{
    Script,
    models::{self, generate, prompt},
    openai::{done, error, event, reply, text},
};

async fn failure_of(script: Script) -> (FailureCode, Retry) {
    let (server, model) = models::start_openai().await;
    server.enqueue(script);
    let error = generate(&model, prompt("gpt-a")).await.end.unwrap_err();
    (error.code, error.retry)
}

const AT_ONCE: Retry = Retry::After { at_least: Duration::ZERO };

#[tokio::test]
async fn errors_of_openai_are_mapped_by_status_and_code() {
    for (response, expected) in [
        (error(401, "invalid_request_error", "invalid_api_key", None), (Misconfigured, Retry::Never)),
        (
            error(403, "request_forbidden", "unsupported_country_region_territory", None),
            (Misconfigured, Retry::Never),
        ),
        (error(404, "invalid_request_error", "model_not_found", None), (ModelUnavailable, Retry::Never)),
        (error(400, "invalid_request_error", "model_not_found", None), (ModelUnavailable, Retry::Never)),
        (
            error(400, "invalid_request_error", "context_length_exceeded", Some("messages")),
            (ModelRejected, Retry::Never),
        ),
        (error(400, "invalid_request_error", "content_filter", None), (ContentBlocked, Retry::Never)),
        (error(429, "requests", "rate_limit_exceeded", None), (ModelRateLimited, AT_ONCE)),
        // The account has no credit left, so that a retry would fail, too.
        (error(429, "insufficient_quota", "insufficient_quota", None), (Misconfigured, Retry::Never)),
        (error(500, "server_error", "", None), (ModelUnavailable, AT_ONCE)),
        (error(503, "overloaded_error", "", None), (ModelUnavailable, AT_ONCE)),
        (error(504, "timeout", "", None), (TimedOut, AT_ONCE)),
        // The formats of Ollama and FastAPI.
        (
            Script::error(404, &json!({"error": "model \"x\" not found, try pulling it first"})),
            (ModelUnavailable, Retry::Never),
        ),
        (Script::error(404, &json!({"detail": "Not Found"})), (ModelUnavailable, Retry::Never)),
        // The format of vLLM.
        (
            Script::error(
                400,
                &json!({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
            ),
            (ModelRejected, Retry::Never),
        ),
        // The HTTP status decides, even if the body names another one.
        (
            Script::error(502, &json!({"error": {"code": 400, "type": "invalid_request_error"}})),
            (ModelUnavailable, AT_ONCE),
        ),
    ] {
        assert_eq!(failure_of(response).await, expected);
    }
}

#[tokio::test]
async fn errors_in_the_middle_of_a_stream_are_recognized_in_every_form() {
    for (sent, expected) in [
        (
            json!({"error": {"message": "overloaded", "type": "server_error", "code": null, "param": null}}),
            ModelUnavailable,
        ),
        (json!({"error": {"message": "slow down", "type": "rate_limit_exceeded"}}), ModelRateLimited),
        (json!({"error": {"message": "no", "code": "rate_limit_exceeded"}}), ModelRateLimited),
        (json!({"error": {"message": "no", "code": 429}}), ModelRateLimited),
        (
            json!({"error": {"message": "no", "code": "502"}, "choices": [{"finish_reason": "error"}]}),
            ModelUnavailable,
        ),
        (json!({"error": {"message": "no", "type": "invalid_request_error"}}), ModelRejected),
        (json!({"error": {"message": "no", "type": "authentication_error"}}), Misconfigured),
        (json!({"error": {"message": "no", "code": "content_filter"}}), ContentBlocked),
        (json!({"error": "overloaded"}), ModelUnavailable),
        (json!({"error": {}}), ModelUnavailable),
        (
            json!({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
            ModelRejected,
        ),
    ] {
        let partial_answer = || text(Script::new(), "Ha");
        let pretty = serde_json::to_string_pretty(&sent).unwrap();
        for script in [
            done(event(partial_answer(), &sent)),
            event(partial_answer().raw("event: error\n"), &sent),
            event(partial_answer(), &sent).hang(),
            partial_answer().raw(pretty.clone()),
            Script::new().raw(pretty),
        ] {
            assert_eq!(failure_of(script).await.0, expected, "{sent}");
        }
    }
}

#[tokio::test]
async fn the_delay_before_a_retry_is_read_from_both_headers() {
    let limited = || error(429, "requests", "rate_limit_exceeded", None);
    for (response, milliseconds) in [
        (limited().header("retry-after", "2"), 2000),
        (limited().header("retry-after-ms", "350").header("retry-after", "1"), 350),
        (limited().header("retry-after-ms", "soon").header("retry-after", "1"), 1000),
        (limited(), 0),
    ] {
        let retry = failure_of(response).await.1;
        assert_eq!(retry, Retry::After { at_least: Duration::from_millis(milliseconds) });
    }
}

/// Responses that reject `stream_options`, as OpenAI, FastAPI and Mistral report it.
fn rejections() -> [Value; 3] {
    let message = "Unknown parameter: 'stream_options'.";
    let invalid = json!({"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"});
    [
        json!({"error": {"message": message, "type": "invalid_request_error", "param": "stream_options", "code": "unknown_parameter"}}),
        json!({"error": {"message": message}}),
        json!({ "detail": [invalid] }),
    ]
}

#[tokio::test]
async fn a_rejected_optional_parameter_is_left_out_at_once_and_from_then_on() {
    for (status, rejection) in [400, 400, 422].into_iter().zip(rejections()) {
        let (server, model) = models::start_openai().await;
        server.enqueue(Script::error(status, &rejection));
        assert_eq!(generate(&model, prompt("gpt-a")).await.complete(), ("Yes.", "STOP"));
        assert_eq!(generate(&model, prompt("gpt-a")).await.complete(), ("Yes.", "STOP"));
        let sent: Vec<bool> =
            server.calls().iter().map(|call| call.body.get("stream_options").is_some()).collect();
        assert_eq!(sent, [true, false, false]);
        // The parameter is still sent to another model, which may accept it.
        generate(&model, prompt("gpt-b")).await;
        assert!(server.calls()[3].body.get("stream_options").is_some());
        // If the server rejects the parameter although the call did not contain it, the call is not repeated.
        server.enqueue(Script::error(status, &rejection));
        server.enqueue(reply(["No."]));
        assert_eq!(generate(&model, prompt("gpt-a")).await.code(), ModelRejected);
        assert_eq!(server.calls().len(), 5);
    }
}
