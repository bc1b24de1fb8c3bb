//! How Gemini's answers end, and what an end costs the user.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestApp,
    gemini::{chunk, finish},
    replies::{Asker, failure},
};

fn ends_with(reason: &str, content: &Value) -> Script {
    Script::new().event(&json!({
        "candidates": [{"content": content, "finishReason": reason}],
        "usageMetadata": {"promptTokenCount": 4, "thoughtsTokenCount": 6},
    }))
}

#[tokio::test]
async fn an_end_without_visible_text_is_retried() {
    let asker = Asker::start().await;
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
        let (message, calls) = asker.ask([ends_with("STOP", &content), Script::says(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2), "{content}");
    }
}

#[tokio::test]
async fn after_four_ends_without_visible_text_the_reply_fails_says_why_and_costs_nothing() {
    let asker = Asker::start().await;
    let thought = json!({"parts": [{"text": "Let me think.", "thought": true}]});
    for (reason, content, words) in [
        ("STOP", json!({"parts": [{"text": "\n"}]}), "without visible text (STOP)"),
        ("MAX_TOKENS", thought, "spent all of its tokens before any visible text"),
        ("MALFORMED_FUNCTION_CALL", json!({}), "without visible text (MALFORMED_FUNCTION_CALL)"),
        ("OTHER", json!({}), "without visible text (OTHER)"),
    ] {
        let (message, calls) = asker.ask((0..4).map(|_| ends_with(reason, &content))).await;
        assert_eq!((&message["status"], calls), (&json!("FAILED"), 4), "{reason}");
        assert_eq!(message["failure"]["code"], "MODEL_UNAVAILABLE");
        assert_eq!(message["failure"]["retryable"], true);
        let said = message["failure"]["message"].as_str().unwrap();
        assert!(said.contains(words), "{said}");
        assert_eq!(message["tokens"]["thoughts"], 6);
    }
}

#[tokio::test]
async fn text_that_shows_little_is_still_text() {
    let asker = Asker::start().await;
    for text in ["\n0\n", ".", "\u{301}", "😀", "\u{fffd}"] {
        assert_eq!(asker.text_of(Script::says([text])).await, text);
    }
}

#[tokio::test]
async fn text_after_an_early_finish_reason_is_kept() {
    let asker = Asker::start().await;
    let with_end = |text: &str, reason: &str| {
        let mut event = chunk(text);
        event["candidates"][0]["finishReason"] = json!(reason);
        event
    };
    let wait = Duration::from_millis(1500);
    let script = Script::new().event(&with_end("A", "STOP")).pause(wait).event(&with_end("B", "STOP"));
    assert_eq!(asker.text_of(script).await, "AB");
    let script = Script::new().event(&with_end("A", "STOP")).pause(wait).text("B").pause(wait).text("C");
    assert_eq!(asker.text_of(script).await, "ABC");
    // The last reason is the one that holds.
    let (message, _) =
        asker.ask([Script::new().event(&with_end("A", "STOP")).event(&with_end("B", "MAX_TOKENS"))]).await;
    assert_eq!((&message["content"], &message["finishReason"]), (&json!("AB"), &json!("MAX_TOKENS")));
}

#[tokio::test]
async fn a_body_that_stays_open_after_the_end_is_waited_for_ten_seconds() {
    let asker = Asker::start().await;
    let begun = Instant::now();
    assert_eq!(asker.text_of(Script::says(["Whole"]).raw(": still here\n\n").hang()).await, "Whole");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(15)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn what_follows_the_end_is_ignored() {
    let asker = Asker::start().await;
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
        let (message, calls) = asker.ask([Script::says(["Whole"]).raw(rest)]).await;
        assert_eq!((&message["status"], calls), (&json!("COMPLETED"), 1), "{rest}");
        assert_eq!(message["content"], "Whole", "{rest}");
        assert_eq!(message["tokens"]["total"], 15, "{rest}");
    }
    // Nor do empty events and `[DONE]` before it end an answer, or break it.
    let script = Script::new().raw("data:\n\n").text("Whole").raw("data:\n\n");
    assert_eq!(asker.text_of(script.raw("data: [DONE]\n\n").finish("STOP")).await, "Whole");
}

#[tokio::test]
async fn a_stopped_reply_keeps_what_was_counted() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.answers(Script::new().text("So far").hang());
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("So far").await;
    user.stop(&asked.reply).await;
    let message = user.message(&asked.reply).await;
    assert_eq!((&message["status"], &message["model"]), (&json!("CANCELLED"), &json!("model-a-001")));
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 1, "thoughts": 0, "total": 8}));
    app.stop().await;
}

#[tokio::test]
async fn a_failed_reply_keeps_what_was_counted() {
    let asker = Asker::start().await;
    let tokens = json!({"prompt": 7, "output": 1, "thoughts": 0, "total": 8});
    let rejected = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}});
    let (message, _) = asker.ask([Script::new().text("Ha").event(&rejected)]).await;
    assert_eq!((&message["status"], &message["tokens"]), (&json!("FAILED"), &tokens));
    // By an earlier try, where the last one counted nothing.
    let refused = Script::fails(400, "INVALID_ARGUMENT", json!([]));
    let (message, calls) = asker.ask([Script::new().text("Ha"), refused]).await;
    assert_eq!((&message["status"], &message["tokens"], calls), (&json!("FAILED"), &tokens, 2));
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    let (message, _) = asker.ask([Script::new().event(&blocked)]).await;
    assert_eq!(message["tokens"], json!({"prompt": 4, "output": 0, "thoughts": 0, "total": 4}));
}

#[tokio::test]
async fn a_reply_that_is_blocked_after_text_was_shown_costs_its_prompt() {
    let app = TestApp::with_settings(&["--basic-daily-limit=3"]).await;
    let user = app.user().await;
    let room = user.room("x").await;
    for (used, script) in [
        // Nothing to read: nothing to pay.
        (0, Script::new().finish("SAFETY")),
        (0, Script::new().text("\n").finish("RECITATION")),
        (0, Script::new().event(&json!({"promptFeedback": {"blockReason": "SAFETY"}}))),
        // The provider's fault, however much was shown.
        (0, Script::new().text("Half").event(&json!({"error": {"code": 400}}))),
        (1, Script::new().text("Page after page").finish("RECITATION")),
        (2, Script::new().text("Page after page").finish("SAFETY")),
        (
            3,
            Script::new().text("Page after page").event(&json!({"promptFeedback": {"blockReason": "OTHER"}})),
        ),
    ] {
        app.gemini.answers(script);
        let asked = room.ask("hi").await;
        let mut follower = user.follow(&asked.reply, None).await;
        assert_eq!(follower.until_the_end().await, "ReplyFailed");
        assert_eq!(user.used().await, used);
    }
    let refused = room.try_ask(json!({"content": "hi"})).await.unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "QUOTA_EXCEEDED");
    app.stop().await;
}

#[tokio::test]
async fn the_first_chunk_may_take_longer_than_the_next() {
    let asker = Asker::with(&["--gemini-idle-timeout=1", "--gemini-first-token-timeout=4"]).await;
    let slow = || Duration::from_millis(1800);
    let script = Script::new().pause(slow()).text("Thought it over").finish("STOP");
    let (message, calls) = asker.ask([script]).await;
    assert_eq!((&message["content"], calls), (&json!("Thought it over"), 1));
    // What shows nothing is no first token.
    let script = Script::new().text("").pause(slow()).text("Thought it over").finish("STOP");
    let (message, calls) = asker.ask([script]).await;
    assert_eq!((&message["content"], calls), (&json!("Thought it over"), 1));
    let script = Script::new().text("Hm").pause(slow()).text("!").finish("STOP");
    let (message, calls) = asker.ask([script, Script::says(["Good"])]).await;
    assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    let asker = Asker::with(&["--gemini-idle-timeout=60", "--gemini-first-token-timeout=1"]).await;
    for silent in
        [Script::new().hang(), Script::new().raw(": wait\n\n").hang(), Script::error(503, &json!({})).hang()]
    {
        let (message, calls) = asker.ask([silent, Script::says(["Good"])]).await;
        assert_eq!((&message["content"], calls), (&json!("Good"), 2));
    }
}

#[tokio::test]
async fn chunks_that_come_in_time_may_take_longer_than_any_wait() {
    let asker = Asker::with(&["--gemini-idle-timeout=1", "--gemini-first-token-timeout=1"]).await;
    let slow = Duration::from_millis(600);
    let script =
        ["a", "b", "c", "d"].iter().fold(Script::new(), |script, text| script.pause(slow).text(text));
    let (message, calls) = asker.ask([script.finish("STOP")]).await;
    assert_eq!((&message["content"], calls), (&json!("abcd"), 1));
}

#[tokio::test]
async fn a_break_before_the_finish_reason_is_still_a_failure() {
    let asker = Asker::start().await;
    let gate = Gate::closed();
    gate.open_wide();
    let failed = asker
        .failure_of((0..4).map(|_| Script::new().text("Half").wait(&gate).raw("data: [DONE]\n\n")))
        .await;
    assert_eq!(failed, failure("MODEL_UNAVAILABLE", true, 4));
    let unspecified = || Script::new().text("Half").event(&finish("FINISH_REASON_UNSPECIFIED"));
    assert_eq!(asker.failure_of((0..4).map(|_| unspecified())).await, failure("MODEL_UNAVAILABLE", true, 4));
}
