//! Frames of Gemini's stream that a strict parser would reject: nulls, invalid counts, split surrogate pairs and
//! concatenated objects.

use serde_json::{Value, json};

use crate::support::{
    Script,
    gemini::{chunk, finish},
    replies::{ReplyHarness, failure},
};

fn event_with_parts(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts}}]})
}

#[tokio::test]
async fn a_null_field_is_treated_as_absent() {
    let harness = ReplyHarness::start().await;
    let nulls = [
        json!({"candidates": null}),
        json!({"candidates": [null]}),
        json!({"candidates": [{"content": null, "finishReason": null, "index": null}]}),
        json!({"candidates": [{"content": {"parts": null, "role": null}}]}),
        event_with_parts(&json!([null])),
        event_with_parts(&json!([{"text": null}, {"text": "", "thought": null, "thoughtSignature": null}])),
        json!({"promptFeedback": null, "usageMetadata": null, "modelVersion": null, "error": null}),
        json!({"promptFeedback": {"blockReason": null}, "usageMetadata": {"promptTokenCount": null}}),
    ];
    let script = nulls.iter().fold(Script::new(), Script::event);
    let script = script.event(&event_with_parts(&json!([{"text": "Fine", "thought": null}])));
    let (message, calls) = harness.run([script.finish("STOP")]).await;
    assert_eq!((&message["content"], calls), (&json!("Fine"), 1), "{message}");
}

#[tokio::test]
async fn token_counts_may_be_strings_and_invalid_ones_are_ignored() {
    let harness = ReplyHarness::start().await;
    let string_counts = json!({"usageMetadata": {"promptTokenCount": "3", "candidatesTokenCount": "4", "thoughtsTokenCount": 2}});
    let (message, calls) = harness
        .run([Script::new()
            .event(&event_with_parts(&json!([{"text": "Fine"}])))
            .event(&string_counts)
            .event(&json!({"candidates": [{"finishReason": "STOP"}]}))])
        .await;
    assert_eq!((&message["content"], calls), (&json!("Fine"), 1));
    assert_eq!(message["tokens"], json!({"prompt": 3, "output": 6, "thoughts": 2, "total": 9}));
    for invalid in [
        json!("many"),
        json!(-1),
        json!(2.5),
        json!({"n": 1}),
        json!([1]),
        json!(true),
        json!("\u{d7ff}"),
        json!(null),
    ] {
        let mut event = chunk("Fine");
        event["usageMetadata"] = json!({"promptTokenCount": 5, "candidatesTokenCount": invalid});
        let mut last = finish("STOP");
        last["usageMetadata"] = invalid.clone();
        last["candidates"][0]["index"] = json!(0);
        let (message, calls) = harness.run([Script::new().event(&event).event(&last)]).await;
        assert_eq!((&message["content"], calls), (&json!("Fine"), 1), "{invalid}");
        assert_eq!(message["tokens"]["prompt"], 5, "{invalid}");
    }
    // A count over the column's maximum is stored as that maximum.
    let mut last = finish("STOP");
    last["usageMetadata"] = json!({"promptTokenCount": 3_000_000_000_i64});
    let (message, _) = harness.run([Script::new().text("Fine").event(&last)]).await;
    assert_eq!((&message["content"], &message["tokens"]["prompt"]), (&json!("Fine"), &json!(i32::MAX)));
}

#[tokio::test]
async fn later_smaller_token_counts_are_ignored() {
    let harness = ReplyHarness::start().await;
    let usage = |prompt: i32, candidates: i32, thoughts: i32| {
        json!({"usageMetadata": {
            "promptTokenCount": prompt, "candidatesTokenCount": candidates, "thoughtsTokenCount": thoughts,
        }})
    };
    let end = json!({"candidates": [{"finishReason": "STOP"}]});
    let script = Script::new().event(&event_with_parts(&json!([{"text": "Fine"}])));
    let script = script.event(&usage(9, 20, 7)).event(&usage(9, 3, 0)).event(&end).event(&usage(0, 0, 8));
    let (message, _) = harness.run([script]).await;
    assert_eq!(message["tokens"], json!({"prompt": 9, "output": 28, "thoughts": 8, "total": 37}));
}

#[tokio::test]
async fn a_surrogate_pair_split_over_two_parts_is_joined() {
    let harness = ReplyHarness::start().await;
    let event = |text: &str| {
        format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}}}}]}}\n\n")
    };
    let end = event("!") + &format!("data: {}\n\n", finish("STOP"));
    for (texts, expected) in [
        (vec![r"\ud83d", r"\ude00"], "😀!"),
        (vec![r"Hi \ud83d", "", r"\ude00 you"], "Hi 😀 you!"),
        (vec![r"\ud83d\ude00"], "😀!"),
        // Unpaired surrogates are replaced.
        (vec![r"a\ud83d", "b"], "a\u{fffd}b!"),
        (vec![r"\ude00b"], "\u{fffd}b!"),
        (vec![r"\ud83d", r"\ud83d\ude00"], "\u{fffd}😀!"),
        (vec![r"\ud83dx\ude00"], "\u{fffd}x\u{fffd}!"),
    ] {
        let events: String = texts.iter().map(|text| event(text)).collect();
        assert_eq!(harness.text_of(Script::new().raw(events + &end)).await, expected, "{texts:?}");
    }
    // This pair is split over two parts of one event, with a thought between them. The last character is an unpaired surrogate.
    let parts = r#"[{"text":"\ud83d"},{"text":"hm \ud800","thought":true},{"text":"\ude00 \ud83d"}]"#;
    let events = format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":{parts}}}}}]}}\n\n");
    assert_eq!(harness.text_of(Script::new().raw(events).finish("STOP")).await, "😀 \u{fffd}");
    // Unpaired surrogates in fields that are not read do not fail the reply.
    let event = r#"data: {"responseId":"\ud83d","candidates":[{"content":{"parts":[{"text":"Fine","thoughtSignature":"\udc00"}]}}]}"#;
    assert_eq!(harness.text_of(Script::new().raw(format!("{event}\n\n")).finish("STOP")).await, "Fine");
}

#[tokio::test]
async fn array_frames_and_concatenated_objects_are_parsed() {
    let harness = ReplyHarness::start().await;
    let (one, two, end) = (chunk("One, "), chunk("two"), finish("STOP"));
    let pretty = serde_json::to_string_pretty(&json!([one, two, end])).unwrap();
    for frames in [
        // One array spread over several events.
        format!("data: [{one},\n\ndata: {two},\n\ndata: {end}]\n\n"),
        format!("data: [{one}\n\ndata: ,{two}\n\ndata: ,{end}\n\ndata: ]\n\n"),
        format!("data: [{one},{two},{end}]\n\n"),
        // Concatenated objects, on one line and on several.
        format!("data: {one}{two}{end}\n\n"),
        format!("data: {one}\ndata: {two}\ndata: {end}\n\n"),
        // The format of a response without `alt=sse`.
        format!("[{one}\n,\r\n{two}\n,\r\n{end}\n]\n"),
        format!("[{one},\n{two},\n{end}]"),
        pretty.clone(),
        pretty.replace('\n', "\r\n"),
    ] {
        assert_eq!(harness.text_of(Script::new().raw(frames.clone())).await, "One, two", "{frames}");
    }
    let braces = chunk("a } b { \" c \\ [d], {e}");
    let concatenated = format!("data: {braces}{end}\n\n");
    assert_eq!(harness.text_of(Script::new().raw(concatenated)).await, "a } b { \" c \\ [d], {e}");
}

#[tokio::test]
async fn text_in_an_array_body_is_streamed_before_the_body_ends() {
    let app = crate::support::TestApp::start().await;
    let user = app.user().await;
    let gate = crate::support::Gate::closed();
    let script = Script::new().raw(format!("[{}\n,\r\n", chunk("Early"))).wait(&gate);
    app.gemini.enqueue(script.raw(format!("{}\n]\n", finish("STOP"))));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Early").await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    app.stop().await;
}

#[tokio::test]
async fn errors_between_events_are_recognized_in_every_form() {
    let harness = ReplyHarness::start().await;
    for error in [
        json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}),
        json!({"error": {"code": "503"}}),
        json!({"error": {"code": null, "message": null, "status": "UNAVAILABLE", "details": null}}),
        json!({"error": {"status": "RESOURCE_EXHAUSTED"}}),
        json!({"error": "overloaded"}),
        json!({"error": {}}),
    ] {
        let pretty = serde_json::to_string_pretty(&json!([error])).unwrap();
        for broken in [
            Script::new().text("Ha").event(&error),
            Script::new().text("Ha").raw(format!("data: [{error},\n\n")),
            Script::new().text("Ha").raw(format!("data: {}{error}\n\n", chunk("ha"))),
            Script::new().text("Ha").raw(pretty),
            Script::new().text("Ha").raw(format!("{error}\n\n")).hang(),
        ] {
            let (message, calls) = harness.run([broken, Script::reply(["Whole"])]).await;
            assert_eq!((&message["content"], calls), (&json!("Whole"), 2), "{error}");
        }
    }
    let rejected = json!({"error": {"status": "INVALID_ARGUMENT"}});
    let failed = harness.failure_of([Script::new().event(&rejected)]).await;
    assert_eq!(failed, failure("MODEL_REJECTED", false, 1));
}

#[tokio::test]
async fn only_the_first_candidate_is_read() {
    let harness = ReplyHarness::start().await;
    let candidate =
        |index: Value, text: &str| json!({"content": {"parts": [{"text": text}]}, "index": index});
    let script = Script::new()
        .event(&json!({"candidates": [candidate(json!(1), "No. "), candidate(json!(0), "Yes")]}))
        .event(&json!({"candidates": [candidate(json!(1), "No. ")]}))
        .event(&json!({"candidates": [{"finishReason": "SAFETY", "index": 1}]}))
        .event(&json!({"candidates": [candidate(json!("1"), "No. ")]}))
        // Of several candidates without an index, the first is read.
        .event(&json!({"candidates": [candidate(json!(null), ", it "), candidate(json!(null), "No. ")]}))
        .event(&json!({"candidates": [candidate(json!("0"), "is.")]}))
        .finish("STOP");
    assert_eq!(harness.text_of(script).await, "Yes, it is.");
}

/// [`BLOCK_REASON_UNSPECIFIED`](https://ai.google.dev/api/generate-content#BlockReason): “Default value. This value is
/// unused.”
#[tokio::test]
async fn an_unspecified_block_reason_is_ignored() {
    let harness = ReplyHarness::start().await;
    for reason in ["BLOCK_REASON_UNSPECIFIED", ""] {
        let feedback = json!({"promptFeedback": {"blockReason": reason}});
        let script = Script::new().event(&feedback).text("Fine").event(&feedback).finish("STOP");
        assert_eq!(harness.text_of(script).await, "Fine");
    }
    for reason in ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "A_NEW_REASON"] {
        let feedback = json!({"promptFeedback": {"blockReason": reason}});
        let failed = harness.failure_of([Script::new().event(&feedback)]).await;
        assert_eq!(failed, failure("CONTENT_BLOCKED", false, 1), "{reason}");
    }
}
