//! Gemini's error responses: which are retried, which the operator must fix, and the delay of a retry.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use pollux::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    Script, TestApp,
    replies::{ReplyHarness, failure},
};

fn error_info(reason: &str) -> Value {
    json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}])
}

fn error_message(status: u16, name: &str, message: &str) -> Script {
    Script::error(status, &json!({"error": {"code": status, "message": message, "status": name}}))
}

#[tokio::test]
async fn every_server_error_is_retried() {
    let harness = ReplyHarness::start().await;
    // 499 means that the call was cancelled. The adapter did not cancel it, so it counts as a server error.
    for status in [500, 501, 505, 507, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599, 499] {
        let (message, calls) =
            harness.run([Script::error(status, &json!("a proxy's page")), Script::reply(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2), "{status}");
    }
    // The HTTP status decides, even if the body names another one.
    let (message, calls) = harness
        .run([
            Script::error(502, &json!({"error": {"code": 400, "status": "INVALID_ARGUMENT"}})),
            Script::reply(["Good"]),
        ])
        .await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    let down = (0..4).map(|_| Script::error(520, &json!({})));
    assert_eq!(harness.failure_of(down).await, failure("MODEL_UNAVAILABLE", true, 4));
}

#[tokio::test]
async fn credential_and_billing_errors_fail_with_misconfigured() {
    let harness = ReplyHarness::start().await;
    for error in [
        error_message(401, "UNAUTHENTICATED", "no"),
        error_message(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        error_message(403, "PERMISSION_DENIED", "no"),
        error_message(407, "", "no"),
        Script::error(302, &json!("moved")).header("location", "http://127.0.0.1:1/login"),
        Script::error(301, &json!("")),
        Script::error(307, &json!("")).header("location", "/v2"),
        Script::error(304, &json!("")),
        Script::gemini_error(400, "INVALID_ARGUMENT", error_info("API_KEY_INVALID")),
        Script::gemini_error(400, "INVALID_ARGUMENT", error_info("API_KEY_EXPIRED")),
        Script::gemini_error(400, "INVALID_ARGUMENT", error_info("API_KEY_SERVICE_BLOCKED")),
        Script::gemini_error(429, "RESOURCE_EXHAUSTED", error_info("API_KEY_IP_ADDRESS_BLOCKED")),
        Script::status(400)
            .event(&json!([{"error": {"code": 400, "details": error_info("API_KEY_INVALID")}}])),
        error_message(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        error_message(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        error_message(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        error_message(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country."),
    ] {
        let (message, calls) = harness.run([error]).await;
        assert_eq!((&message["failure"]["code"], calls), (&json!("MISCONFIGURED"), 1), "{message}");
        let text = message["failure"]["message"].as_str().unwrap();
        assert!(text.contains("operator"), "{text}");
    }
    // A rejected conversation is not blamed on the operator.
    for error in
        [error_message(400, "INVALID_ARGUMENT", "Invalid content."), Script::error(413, &json!("too large"))]
    {
        assert_eq!(harness.failure_of([error]).await, failure("MODEL_REJECTED", false, 1));
    }
}

/// How long a reply takes whose first attempt gets this response.
async fn time_to_reply_after(rejection: Script) -> Duration {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.enqueue(rejection);
    let sent_at = Instant::now();
    let sent = user.create_chatroom("x").await.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    let waited = sent_at.elapsed();
    app.stop().await;
    waited
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let harness = ReplyHarness::start().await;
    for (status, seconds, at_least) in [(429, "2", 2000), (503, "2", 2000), (408, "0.5", 500)] {
        let waited =
            time_to_reply_after(Script::error(status, &json!({})).header("retry-after", seconds)).await;
        assert!(waited >= Duration::from_millis(at_least), "{seconds}: {waited:?}");
    }
    for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
        // A date has no fraction of a second, so that between 2.9 and 3.9 seconds of the delay remain. The time is measured from
        // here instead of from the request, because the start of the server uses up a part of it.
        let date = (Clock::system().now() + TimeDelta::milliseconds(3900)).format(form).to_string();
        let started = Instant::now();
        time_to_reply_after(Script::error(503, &json!({})).header("retry-after", &date)).await;
        assert!(started.elapsed() >= Duration::from_millis(2900), "{date}: {:?}", started.elapsed());
    }
    // The longer of the two delays applies.
    let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.1s"}]);
    let both = Script::gemini_error(429, "RESOURCE_EXHAUSTED", info).header("retry-after", "1");
    assert!(time_to_reply_after(both).await >= Duration::from_secs(1));
    for invalid in ["soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", "NaN"] {
        let waited = time_to_reply_after(Script::error(503, &json!({})).header("retry-after", invalid)).await;
        assert!(waited < Duration::from_secs(5), "{invalid}: {waited:?}");
    }
    // A delay over the maximum fails the reply at once.
    for too_long in ["3600", "99999999999999999999999", "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let failed =
            harness.failure_of([Script::error(503, &json!({})).header("retry-after", too_long)]).await;
        assert_eq!(failed, failure("MODEL_UNAVAILABLE", true, 1), "{too_long}");
    }
}
