//! Gemini's streaming protocol with its irregularities, as a fake Gemini sends it to the Gemini adapter over HTTP.

use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestApp,
    gemini::{chunk, finish},
    replies::{Failure, ReplyHarness, failure},
};

async fn run(scripts: impl IntoIterator<Item = Script>) -> (Value, usize) {
    ReplyHarness::start().await.run(scripts).await
}

async fn run_with(settings: &[&str], scripts: impl IntoIterator<Item = Script>) -> (Value, usize) {
    ReplyHarness::with(settings).await.run(scripts).await
}

async fn text_of(script: Script) -> String {
    ReplyHarness::start().await.text_of(script).await
}

async fn failure_of(scripts: impl IntoIterator<Item = Script>) -> Failure {
    ReplyHarness::start().await.failure_of(scripts).await
}

#[tokio::test]
async fn the_request_matches_the_api_and_sends_the_key_in_a_header() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.read(&user.create_chatroom("x").await.send("hi").await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    assert_eq!(call.uri, "/v1beta/models/model-a:streamGenerateContent?alt=sse");
    assert_eq!(call.headers["x-goog-api-key"], "test-key");
    assert_eq!(call.body, json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}));
    app.stop().await;
}

#[tokio::test]
async fn events_are_parsed_across_any_split_and_line_ending() {
    let events = [chunk("Grüße, "), chunk("世界 "), chunk("😀"), finish("STOP")];
    for line_end in ["\n", "\r\n", "\r"] {
        let text: String = events
            .iter()
            .flat_map(|event| [format!("data: {event}{line_end}"), line_end.to_owned()])
            .collect();
        // Sends byte by byte, which splits every multi-byte character and line ending.
        let script = text.bytes().fold(Script::new(), |script, byte| script.raw(vec![byte]));
        assert_eq!(text_of(script).await, "Grüße, 世界 😀", "{line_end:?}");
        assert_eq!(text_of(Script::new().raw(text)).await, "Grüße, 世界 😀", "{line_end:?}");
    }
}

#[tokio::test]
async fn comments_and_multiple_data_lines_are_parsed() {
    let pretty = serde_json::to_string_pretty(&chunk("Hello")).unwrap();
    let lines: String = pretty.lines().flat_map(|line| ["data: ", line, "\n"]).collect();
    let script = Script::new().raw(format!(": hello\n\nevent: message\nid: 1\n{lines}\n")).finish("STOP");
    assert_eq!(text_of(script).await, "Hello");
}

#[tokio::test]
async fn thoughts_are_not_shown() {
    let parts = json!([{"text": "Let me think.", "thought": true}, {"text": "Four."}]);
    let script = Script::new()
        .event(&json!({"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": true}]}}]}))
        .event(&json!({"candidates": [{"content": {"parts": parts}}]}))
        .finish("STOP");
    assert_eq!(text_of(script).await, "Four.");
}

#[tokio::test]
async fn empty_and_unknown_fields_are_ignored() {
    let script = Script::new()
        .event(&json!({"candidates": []}))
        .event(&json!({"usageMetadata": {"promptTokenCount": 1, "aNewCount": 3}, "aNewField": {"x": []}}))
        .text("")
        .event(&json!({"candidates": [{"content": {"parts": [{"aNewPart": {"x": 1}}, {"text": "Fine"}]}, "new": 1}]}))
        .event(&json!({"candidates": [{"content": {"role": "model"}}]}))
        .event(&json!({"candidates": [{"finishReason": "A_NEW_REASON"}]}));
    assert_eq!(text_of(script).await, "Fine");
}

#[tokio::test]
async fn a_finish_reason_in_the_last_text_event_before_the_token_counts_completes_the_reply() {
    let mut last = chunk("end.");
    last["candidates"][0]["finishReason"] = json!("MAX_TOKENS");
    let script = Script::new().text("The ").event(&last).event(
        &json!({"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 9, "thoughtsTokenCount": 2}}),
    );
    let (message, _) = run([script]).await;
    assert_eq!((&message["content"], &message["finishReason"]), (&json!("The end."), &json!("MAX_TOKENS")));
    // `text` reports 7 prompt tokens. The larger count is kept.
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 11, "thoughts": 2, "total": 18}));
}

#[tokio::test]
async fn a_broken_or_hanging_connection_after_the_finish_reason_is_ignored() {
    assert_eq!(text_of(Script::reply(["Whole"]).hang()).await, "Whole");
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    let mut whole = chunk("Whole");
    whole["candidates"][0]["finishReason"] = json!("STOP");
    app.gemini.enqueue(Script::new().event(&whole).wait(&gate).disconnect());
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Whole").await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), app.gemini.calls().len()), ("Whole", 1));
    app.stop().await;
}

#[tokio::test]
async fn a_last_event_without_a_blank_line_is_parsed() {
    assert_eq!(text_of(Script::new().text("Whole").raw(format!("data: {}", finish("STOP")))).await, "Whole");
}

#[tokio::test]
async fn an_answer_that_gemini_blocks_fails_the_reply_without_a_retry() {
    let harness = ReplyHarness::start().await;
    for reason in
        ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"]
    {
        let failed = harness.failure_of([Script::new().text("Well, ").finish(reason)]).await;
        assert_eq!(failed, failure("CONTENT_BLOCKED", false, 1), "{reason}");
    }
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    assert_eq!(failure_of([Script::new().event(&blocked)]).await, failure("CONTENT_BLOCKED", false, 1));
}

#[tokio::test]
async fn an_answer_without_a_finish_reason_is_treated_as_truncated_and_retried() {
    let truncated = || Script::new().text("Half");
    let (message, calls) = run([truncated(), truncated().disconnect(), Script::reply(["Whole"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Whole"), 3));
    let empty = || Script::new();
    let failed = failure_of([truncated(), truncated().disconnect(), empty(), truncated()]).await;
    assert_eq!(failed, failure("MODEL_UNAVAILABLE", true, 4));
}

#[tokio::test]
async fn a_malformed_answer_is_retried() {
    let (message, calls) =
        run([Script::new().raw("data: {\"candidates\": 7}\n\n"), Script::reply(["Good"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_recognized_inside_and_outside_an_sse_event() {
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let pretty = serde_json::to_string_pretty(&error).unwrap();
    for broken in [
        Script::new().text("Ha").event(&error),
        Script::new().text("Ha").event(&json!([error])),
        Script::new().text("Ha").raw(pretty.clone()),
        Script::new().text("Ha").raw(format!("[{pretty}\n]")),
        Script::new().text("Ha").raw(pretty.replace('\n', "\r\n")),
    ] {
        let (message, calls) = run([broken, Script::reply(["Whole"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Whole"), 2));
    }
    let rejected = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}});
    let pretty = serde_json::to_string_pretty(&rejected).unwrap();
    let failed = failure_of([Script::new().text("Ha").raw(pretty)]).await;
    assert_eq!(
        failed,
        failure("MODEL_REJECTED", false, 1),
        "an error outside an SSE event must be recognized; as a missing finish reason it would be retried"
    );
}

#[tokio::test]
async fn transient_statuses_are_retried_and_permanent_ones_are_not() {
    let harness = ReplyHarness::start().await;
    for status in [408, 429, 500, 502, 503, 504] {
        let (message, calls) =
            harness.run([Script::gemini_error(status, "X", json!([])), Script::reply(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2), "{status}");
    }
    for (status, code) in
        [(400, "MODEL_REJECTED"), (401, "MISCONFIGURED"), (403, "MISCONFIGURED"), (404, "MODEL_UNAVAILABLE")]
    {
        let failed = harness.failure_of([Script::gemini_error(status, "X", json!([]))]).await;
        assert_eq!((failed.code.as_str(), failed.calls), (code, 1), "{status}");
    }
}

#[tokio::test]
async fn error_bodies_are_parsed_in_every_form() {
    let bad_key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    let failed = failure_of([Script::gemini_error(400, "INVALID_ARGUMENT", bad_key)]).await;
    assert_eq!(failed, failure("MISCONFIGURED", false, 1));
    let in_array = json!([{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]);
    assert_eq!(failure_of([Script::error(403, &in_array)]).await, failure("MISCONFIGURED", false, 1));
    let not_json = Script::status(503).raw("down");
    let (message, calls) = run([not_json, Script::reply(["Good"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
}

#[tokio::test]
async fn an_exhausted_daily_quota_fails_the_reply_after_one_call() {
    let daily = json!([{
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }]);
    let failed = failure_of([Script::gemini_error(429, "RESOURCE_EXHAUSTED", daily)]).await;
    assert_eq!(failed, failure("MODEL_RATE_LIMITED", true, 1));
}

#[tokio::test]
async fn retry_info_delays_the_retry() {
    let rate_limited = |delay: &str| {
        let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]);
        Script::gemini_error(429, "RESOURCE_EXHAUSTED", info)
    };
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.enqueue(rate_limited("0.7s"));
    let sent_at = std::time::Instant::now();
    let sent = user.create_chatroom("x").await.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    assert!(sent_at.elapsed() >= std::time::Duration::from_millis(700));
    app.stop().await;
    // A delay over the maximum fails the reply at once.
    let failed = failure_of([rate_limited("3600s")]).await;
    assert_eq!(failed, failure("MODEL_RATE_LIMITED", true, 1));
}

#[tokio::test]
async fn an_unavailable_model_falls_back_to_the_next() {
    let gone = || Script::gemini_error(404, "NOT_FOUND", json!([]));
    let settings = ["--gemini-models=model-a,model-b,model-c"];
    let (message, calls) = run_with(&settings, [gone(), gone(), Script::reply(["From c"])]).await;
    assert_eq!((&message["content"], calls), (&json!("From c"), 3));
    let (message, calls) = run_with(&settings, [gone(), gone(), gone()]).await;
    assert_eq!((&message["failure"]["code"], calls), (&json!("MODEL_UNAVAILABLE"), 3));
}

#[tokio::test]
async fn an_idle_model_times_out_and_is_retried() {
    let settings = ["--model-idle-timeout=1"];
    let (message, calls) =
        run_with(&settings, [Script::new().text("Hm").hang(), Script::reply(["Good"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
}

#[tokio::test]
async fn an_unreachable_gemini_fails_with_model_unavailable() {
    // The listener is dropped at once, so that connections to its address are refused.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = format!("--gemini-base-url=http://{closed}");
    let (message, _) = run_with(&[&base], []).await;
    assert_eq!(message["failure"]["code"], "MODEL_UNAVAILABLE");
}
