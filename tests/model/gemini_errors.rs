//! Which of Gemini's refusals are retried, which are the operator's to mend, and how long a retry waits.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use pollux::clock::Clock;
use serde_json::{Value, json};

use crate::support::{
    Script, TestApp,
    replies::{Asker, failure},
};

fn reason(reason: &str) -> Value {
    json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}])
}

fn words(status: u16, name: &str, message: &str) -> Script {
    Script::error(status, &json!({"error": {"code": status, "message": message, "status": name}}))
}

#[tokio::test]
async fn every_server_error_is_retried() {
    let asker = Asker::start().await;
    for status in [500, 501, 505, 507, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599, 499] {
        let (message, calls) =
            asker.ask([Script::error(status, &json!("a proxy's page")), Script::says(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2), "{status}");
    }
    // The status counts, whatever the body says.
    let (message, calls) = asker
        .ask([
            Script::error(502, &json!({"error": {"code": 400, "status": "INVALID_ARGUMENT"}})),
            Script::says(["Good"]),
        ])
        .await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    let down = (0..4).map(|_| Script::error(520, &json!({})));
    assert_eq!(asker.failure_of(down).await, failure("MODEL_UNAVAILABLE", true, 4));
}

#[tokio::test]
async fn what_the_operator_has_to_mend_is_not_the_users_fault() {
    let asker = Asker::start().await;
    for refused in [
        words(401, "UNAUTHENTICATED", "no"),
        words(402, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
        words(403, "PERMISSION_DENIED", "no"),
        words(407, "", "no"),
        Script::error(302, &json!("moved")).header("location", "http://127.0.0.1:1/login"),
        Script::error(301, &json!("")),
        Script::error(307, &json!("")).header("location", "/v2"),
        Script::error(304, &json!("")),
        Script::fails(400, "INVALID_ARGUMENT", reason("API_KEY_INVALID")),
        Script::fails(400, "INVALID_ARGUMENT", reason("API_KEY_EXPIRED")),
        Script::fails(400, "INVALID_ARGUMENT", reason("API_KEY_SERVICE_BLOCKED")),
        Script::fails(429, "RESOURCE_EXHAUSTED", reason("API_KEY_IP_ADDRESS_BLOCKED")),
        Script::status(400).event(&json!([{"error": {"code": 400, "details": reason("API_KEY_INVALID")}}])),
        words(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        words(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        words(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        words(400, "", "User location is not supported for the API use."),
        words(400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country."),
    ] {
        let (message, calls) = asker.ask([refused]).await;
        assert_eq!((&message["failure"]["code"], calls), (&json!("MISCONFIGURED"), 1), "{message}");
        let said = message["failure"]["message"].as_str().unwrap();
        assert!(said.contains("operator"), "{said}");
    }
    // And what is the user's stays so.
    for refused in
        [words(400, "INVALID_ARGUMENT", "Invalid content."), Script::error(413, &json!("too large"))]
    {
        assert_eq!(asker.failure_of([refused]).await, failure("MODEL_REJECTED", false, 1));
    }
}

async fn wait_after(refusal: Script) -> Duration {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.answers(refusal);
    let asked_at = Instant::now();
    let asked = user.room("x").await.ask("hi").await;
    assert_eq!(user.read(&asked.reply).await.text, "Yes.");
    let waited = asked_at.elapsed();
    app.stop().await;
    waited
}

#[tokio::test]
async fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let asker = Asker::start().await;
    for (status, seconds, at_least) in [(429, "2", 2000), (503, "2", 2000), (408, "0.5", 500)] {
        let waited = wait_after(Script::error(status, &json!({})).header("retry-after", seconds)).await;
        assert!(waited >= Duration::from_millis(at_least), "{seconds}: {waited:?}");
    }
    for form in ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"] {
        // A date is in whole seconds.
        let date = (Clock::system().now() + TimeDelta::milliseconds(3900)).format(form).to_string();
        let begun = Instant::now();
        wait_after(Script::error(503, &json!({})).header("retry-after", &date)).await;
        assert!(begun.elapsed() >= Duration::from_millis(2900), "{date}: {:?}", begun.elapsed());
    }
    // The longer of the two.
    let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.1s"}]);
    let both = Script::fails(429, "RESOURCE_EXHAUSTED", info).header("retry-after", "1");
    assert!(wait_after(both).await >= Duration::from_secs(1));
    for nonsense in ["soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", "NaN"] {
        let waited = wait_after(Script::error(503, &json!({})).header("retry-after", nonsense)).await;
        assert!(waited < Duration::from_secs(5), "{nonsense}: {waited:?}");
    }
    // Longer than anyone waits.
    for long in ["3600", "99999999999999999999999", "Tue, 31 Dec 2999 23:59:59 GMT"] {
        let failed = asker.failure_of([Script::error(503, &json!({})).header("retry-after", long)]).await;
        assert_eq!(failed, failure("MODEL_UNAVAILABLE", true, 1), "{long}");
    }
}
