//! Gemini's finish reasons and token counts, and which replies are charged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Script, TestApp,
    gemini::{chunk, finish},
    replies::{ReplyHarness, failure},
};

fn script_ending_with(reason: &str, content: &Value) -> Script {
    Script::new().event(&json!({
        "candidates": [{"content": content, "finishReason": reason}],
        "usageMetadata": {"promptTokenCount": 4, "thoughtsTokenCount": 6},
    }))
}

#[tokio::test]
async fn an_end_without_visible_text_is_retried() {
    let harness = ReplyHarness::start().await;
    for content in [
        json!({}),
        json!(null),
        json!({"parts": []}),
        json!({"parts": [{"text": ""}]}),
        json!({"parts": [{"text": "\n"}]}),
        json!({"parts": [{"text": " \u{200b}\u{feff}\u{2060}\u{ad}\u{e0020}\u{0}"}]}),
        json!({"parts": [{"functionCall": {"name": "f", "args": {}}}]}),
        json!({"parts": [{"thoughtSignature": "x"}]}),
        json!({"parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}),
        json!({"parts": [{"text": "Let me think.", "thought": true}]}),
    ] {
        let (message, calls) =
            harness.run([script_ending_with("STOP", &content), Script::reply(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2), "{content}");
    }
}

#[tokio::test]
async fn four_ends_without_visible_text_fail_the_reply_and_refund_its_quota() {
    let harness = ReplyHarness::start().await;
    let thought = json!({"parts": [{"text": "Let me think.", "thought": true}]});
    for (reason, content, expected) in [
        ("STOP", json!({"parts": [{"text": "\n"}]}), "without visible text (STOP)"),
        ("MAX_TOKENS", thought, "spent all of its tokens before any visible text"),
        ("MALFORMED_FUNCTION_CALL", json!({}), "without visible text (MALFORMED_FUNCTION_CALL)"),
        ("OTHER", json!({}), "without visible text (OTHER)"),
    ] {
        let (message, calls) = harness.run((0..4).map(|_| script_ending_with(reason, &content))).await;
        assert_eq!((&message["status"], calls), (&json!("FAILED"), 4), "{reason}");
        assert_eq!(message["failure"]["code"], "MODEL_UNAVAILABLE");
        assert_eq!(message["failure"]["retryable"], true);
        let text = message["failure"]["message"].as_str().unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(message["tokens"]["thoughts"], 6);
    }
}

#[tokio::test]
async fn text_with_a_single_visible_character_is_kept() {
    let harness = ReplyHarness::start().await;
    for text in ["\n0\n", ".", "\u{301}", "😀", "\u{fffd}"] {
        assert_eq!(harness.text_of(Script::reply([text])).await, text);
    }
}

#[tokio::test]
async fn text_after_an_early_finish_reason_is_kept() {
    let harness = ReplyHarness::start().await;
    let with_finish_reason = |text: &str, reason: &str| {
        let mut event = chunk(text);
        event["candidates"][0]["finishReason"] = json!(reason);
        event
    };
    let delay = Duration::from_millis(1500);
    let script = Script::new()
        .event(&with_finish_reason("A", "STOP"))
        .pause(delay)
        .event(&with_finish_reason("B", "STOP"));
    assert_eq!(harness.text_of(script).await, "AB");
    let script =
        Script::new().event(&with_finish_reason("A", "STOP")).pause(delay).text("B").pause(delay).text("C");
    assert_eq!(harness.text_of(script).await, "ABC");
    // The last finish reason applies.
    let (message, _) = harness
        .run([Script::new()
            .event(&with_finish_reason("A", "STOP"))
            .event(&with_finish_reason("B", "MAX_TOKENS"))])
        .await;
    assert_eq!((&message["content"], &message["finishReason"]), (&json!("AB"), &json!("MAX_TOKENS")));
}

#[tokio::test]
async fn a_body_that_stays_open_after_the_finish_reason_is_read_for_ten_seconds() {
    let harness = ReplyHarness::start().await;
    let started = Instant::now();
    assert_eq!(harness.text_of(Script::reply(["Whole"]).raw(": still here\n\n").hang()).await, "Whole");
    let waited = started.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn malformed_data_errors_and_markers_after_the_finish_reason_are_ignored() {
    let harness = ReplyHarness::start().await;
    for rest in [
        "data: [DONE]\n\n",
        "data: [DONE]",
        "data:\n\ndata: \n\ndata\n\n",
        "data: {\n\n",
        "data: {\"usageMetadata\": {\"promptTokenCount\": \"x\"}}\n\n",
        "data: {\"usageMetadata\": 7, \"candidates\": 7}\n\n",
        "data: {\"error\": {\"code\": 503}}\n\n",
        "data: {\"error\": {\"code\": 400}}\n\n",
        "{\"error\": {\"code\": 503}}\n",
        "data: nonsense\n\nnonsense",
        ": a comment\n\n",
        "\u{fffd}",
    ] {
        let (message, calls) = harness.run([Script::reply(["Whole"]).raw(rest)]).await;
        assert_eq!((&message["status"], calls), (&json!("COMPLETED"), 1), "{rest}");
        assert_eq!(message["content"], "Whole", "{rest}");
        assert_eq!(message["tokens"]["total"], 15, "{rest}");
    }
    // Empty events and `[DONE]` before the finish reason neither end the response nor fail it.
    let script = Script::new().raw("data:\n\n").text("Whole").raw("data:\n\n");
    assert_eq!(harness.text_of(script.raw("data: [DONE]\n\n").finish("STOP")).await, "Whole");
}

#[tokio::test]
async fn a_stopped_reply_keeps_its_token_counts() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.enqueue(Script::new().text("So far").hang());
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("So far").await;
    user.stop(&sent.reply).await;
    let message = user.message(&sent.reply).await;
    assert_eq!((&message["status"], &message["model"]), (&json!("CANCELLED"), &json!("model-a-001")));
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 1, "thoughts": 0, "total": 8}));
    app.stop().await;
}

#[tokio::test]
async fn a_failed_reply_keeps_its_token_counts() {
    let harness = ReplyHarness::start().await;
    let tokens = json!({"prompt": 7, "output": 1, "thoughts": 0, "total": 8});
    let rejected = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}});
    let (message, _) = harness.run([Script::new().text("Ha").event(&rejected)]).await;
    assert_eq!((&message["status"], &message["tokens"]), (&json!("FAILED"), &tokens));
    // The counts of an earlier attempt apply if the last one has none.
    let error = Script::gemini_error(400, "INVALID_ARGUMENT", json!([]));
    let (message, calls) = harness.run([Script::new().text("Ha"), error]).await;
    assert_eq!((&message["status"], &message["tokens"], calls), (&json!("FAILED"), &tokens, 2));
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    let (message, _) = harness.run([Script::new().event(&blocked)]).await;
    assert_eq!(message["tokens"], json!({"prompt": 4, "output": 0, "thoughts": 0, "total": 4}));
}

#[tokio::test]
async fn a_reply_blocked_after_shown_text_is_charged() {
    let app = TestApp::with_settings(&["--basic-daily-limit=3"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    for (used, script) in [
        // A reply that has shown no text is not charged.
        (0, Script::new().finish("SAFETY")),
        (0, Script::new().text("\n").finish("RECITATION")),
        (0, Script::new().event(&json!({"promptFeedback": {"blockReason": "SAFETY"}}))),
        // A reply that failed because of the provider is not charged.
        (0, Script::new().text("Half").event(&json!({"error": {"code": 400}}))),
        (1, Script::new().text("Page after page").finish("RECITATION")),
        (2, Script::new().text("Page after page").finish("SAFETY")),
        (
            3,
            Script::new().text("Page after page").event(&json!({"promptFeedback": {"blockReason": "OTHER"}})),
        ),
    ] {
        app.gemini.enqueue(script);
        let sent = chatroom.send("hi").await;
        let mut follower = user.follow(&sent.reply, None).await;
        assert_eq!(follower.read_to_end().await, "ReplyFailed");
        assert_eq!(user.used().await, used);
    }
    let rejected = chatroom.try_send(json!({"content": "hi"})).await.unwrap_err();
    assert_eq!(rejected["errors"][0]["extensions"]["code"], "QUOTA_EXCEEDED");
    app.stop().await;
}

#[tokio::test]
async fn the_first_chunk_may_take_longer_than_the_next() {
    let harness = ReplyHarness::with(&["--model-idle-timeout=1", "--model-first-token-timeout=4"]).await;
    // Longer than the idle timeout, and shorter than the timeout for the first token.
    let delay = Duration::from_millis(1800);
    let script = Script::new().pause(delay).text("Thought it over").finish("STOP");
    let (message, calls) = harness.run([script]).await;
    assert_eq!((&message["content"], calls), (&json!("Thought it over"), 1));
    // An event without visible text does not count as the first token.
    let script = Script::new().text("").pause(delay).text("Thought it over").finish("STOP");
    let (message, calls) = harness.run([script]).await;
    assert_eq!((&message["content"], calls), (&json!("Thought it over"), 1));
    let script = Script::new().text("Hm").pause(delay).text("!").finish("STOP");
    let (message, calls) = harness.run([script, Script::reply(["Good"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    let harness = ReplyHarness::with(&["--model-idle-timeout=60", "--model-first-token-timeout=1"]).await;
    for without_text in
        [Script::new().hang(), Script::new().raw(": wait\n\n").hang(), Script::error(503, &json!({})).hang()]
    {
        let (message, calls) = harness.run([without_text, Script::reply(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    }
}

#[tokio::test]
async fn a_stream_may_outlast_the_idle_timeout_while_chunks_arrive() {
    let harness = ReplyHarness::with(&["--model-idle-timeout=1", "--model-first-token-timeout=1"]).await;
    let delay = Duration::from_millis(600);
    let script =
        ["a", "b", "c", "d"].iter().fold(Script::new(), |script, text| script.pause(delay).text(text));
    let (message, calls) = harness.run([script.finish("STOP")]).await;
    assert_eq!((&message["content"], calls), (&json!("abcd"), 1));
}

#[tokio::test]
async fn four_responses_without_a_finish_reason_fail_the_reply() {
    let harness = ReplyHarness::start().await;
    let failed = harness.failure_of((0..4).map(|_| Script::new().text("Half").raw("data: [DONE]\n\n"))).await;
    assert_eq!(failed, failure("MODEL_UNAVAILABLE", true, 4));
    let unspecified = || Script::new().text("Half").event(&finish("FINISH_REASON_UNSPECIFIED"));
    assert_eq!(
        harness.failure_of((0..4).map(|_| unspecified())).await,
        failure("MODEL_UNAVAILABLE", true, 4)
    );
}
