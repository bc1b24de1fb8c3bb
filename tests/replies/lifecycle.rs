//! The lifecycle of a reply as its subscribers observe it.

use std::pin::pin;

use futures_util::StreamExt;
use pollux::domain::replies::ReplyEvent;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, socket::TEST_TIMEOUT};

#[tokio::test]
async fn a_reply_is_streamed_while_written_and_stored_at_its_end() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Hello").wait(&gate).text(", wörld").finish("STOP"));
    let sent = chatroom.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Hello").await;
    assert_eq!(follower.cursor, "1-5");
    assert_eq!(user.message(&sent.reply).await["status"], "STREAMING");
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("Hello, wörld", "1-13"));
    let message = user.message(&sent.reply).await;
    assert_eq!(message["content"], "Hello, wörld");
    assert_eq!((&message["status"], &message["cursor"]), (&json!("COMPLETED"), &json!("1-13")));
    assert_eq!((&message["finishReason"], &message["model"]), (&json!("STOP"), &json!("model-a-001")));
    // The output of 8 tokens includes the 3 thoughts.
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 8, "thoughts": 3, "total": 15}));
    assert_eq!(message["inReplyTo"], json!({ "id": sent.message }));
    app.stop().await;
}

#[tokio::test]
async fn continuous_resuming_and_late_subscribers_receive_all_two_hundred_chunks() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let chunks: Vec<String> = (0..200).map(|n| format!("chunk {n} é😀\n")).collect();
    let gate = Gate::closed();
    let script = chunks.iter().fold(Script::new(), |script, chunk| script.wait(&gate).text(chunk));
    app.gemini.enqueue(script.wait(&gate).finish("STOP"));
    let sent = chatroom.send("hi").await;
    let continuous = async {
        let mut follower = user.follow(&sent.reply, None).await;
        let mut last = String::new();
        while let Some(kind) = follower.next_event().await {
            gate.release_one();
            last = kind;
        }
        (follower.text, last)
    };
    let resuming = async {
        let mut text = String::new();
        let mut cursor: Option<String> = None;
        for part in 1..=5 {
            let mut follower = user.follow(&sent.reply, cursor.as_deref()).await;
            follower.read_until(&format!("chunk {} ", part * 30)).await;
            text.push_str(&follower.text);
            cursor = Some(follower.cursor);
        }
        let mut follower = user.follow(&sent.reply, cursor.as_deref()).await;
        follower.read_to_end().await;
        assert_eq!(follower.restarts, 0);
        text + &follower.text
    };
    let late = async {
        // A first subscription waits until half of the chunks have been sent.
        let mut follower = user.follow(&sent.reply, None).await;
        follower.read_until("chunk 100 ").await;
        user.read(&sent.reply).await.text
    };
    // Each release lets Gemini send one chunk. Every event that the continuous subscriber receives releases one more.
    gate.release_one();
    gate.release_one();
    let ((whole, last_event), resumed, joined_late) = tokio::join!(continuous, resuming, late);
    assert_eq!(last_event, "ReplyCompleted");
    let expected = chunks.concat();
    assert_eq!(whole, expected);
    assert_eq!(resumed, expected);
    assert_eq!(joined_late, expected);
    assert_eq!(user.message(&sent.reply).await["content"], expected);
    app.stop().await;
}

#[tokio::test]
async fn cursors_resume_a_finished_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let whole = user.read(&sent.reply).await;
    assert_eq!((whole.text.as_str(), whole.cursor.as_str()), ("Yes.", "1-4"));
    for (after, rest, restarts) in [
        (None, "Yes.", 0),
        // `0-0` is the position before the first attempt.
        (Some("0-0"), "Yes.", 0),
        (Some("1-0"), "Yes.", 0),
        (Some("1-2"), "s.", 0),
        (Some("1-4"), "", 0),
        // Cursors that do not match the text restart the reply.
        (Some("1-9"), "Yes.", 1),
        (Some("7-2"), "Yes.", 1),
    ] {
        let mut follower = user.follow(&sent.reply, after).await;
        assert_eq!(follower.read_to_end().await, "ReplyCompleted");
        assert_eq!((follower.text.as_str(), follower.restarts), (rest, restarts), "{after:?}");
        assert_eq!(follower.cursor, "1-4");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_event_without_selected_fields_is_an_empty_object() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.read(&sent.reply).await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { text } } }";
    socket.subscribe("1", query, &json!({ "id": sent.reply })).await;
    let mut text = String::new();
    loop {
        let event = socket.next().await.unwrap()["payload"]["data"]["replyStream"].take();
        let Some(chunk) = event["text"].as_str() else { break assert_eq!(event, json!({})) };
        text.push_str(chunk);
    }
    assert_eq!(text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn reply_stream_rejects_an_invalid_cursor_and_a_user_message() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!, $after: String) { replyStream(messageId: $id, after: $after) { __typename } }";
    for (id, after, field) in [(&sent.reply, json!("x"), "after"), (&sent.message, Value::Null, "messageId")]
    {
        socket.subscribe("1", query, &json!({"id": id, "after": after})).await;
        let message = socket.next().await.unwrap();
        assert_eq!(message["payload"]["errors"][0]["extensions"]["field"], field);
        assert_eq!(socket.next().await.unwrap()["type"], "complete");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_retry_after_shown_text_restarts_the_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (first_attempt, second_attempt) = (Gate::closed(), Gate::closed());
    app.gemini.enqueue(Script::new().text("Half an ans").wait(&first_attempt).disconnect());
    app.gemini.enqueue(Script::new().wait(&second_attempt).text("A whole answer").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    let cursor = follower.cursor.clone();
    first_attempt.release_one();
    while follower.restarts == 0 {
        follower.next_event().await.unwrap();
    }
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("", "2-0"));
    second_attempt.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("A whole answer", "2-14"));
    // Another device was offline during the retry and resumes from its old cursor.
    let mut late = user.follow(&sent.reply, Some(&cursor)).await;
    assert_eq!(late.read_to_end().await, "ReplyCompleted");
    assert_eq!((late.text.as_str(), late.restarts), ("A whole answer", 1));
    assert_eq!(user.used().await, 1, "retries are not charged");
    app.stop().await;
}

#[tokio::test]
async fn a_reply_fails_after_four_attempts_and_its_quota_is_refunded() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for _ in 0..4 {
        app.gemini.enqueue(Script::gemini_error(503, "UNAVAILABLE", json!([])));
    }
    let sent = user.create_chatroom("x").await.send("hi").await;
    assert_eq!(sent.used, 1);
    let mut follower = user.follow(&sent.reply, None).await;
    assert_eq!(follower.read_to_end().await, "ReplyFailed");
    assert_eq!(app.gemini.calls().len(), 4);
    let message = user.message(&sent.reply).await;
    assert_eq!(message["status"], "FAILED");
    assert_eq!(message["failure"]["code"], "MODEL_UNAVAILABLE");
    assert_eq!(message["failure"]["retryable"], true);
    assert_eq!(user.used().await, 0);
    let regenerated = user.regenerate(&sent.reply).await.unwrap();
    assert_eq!(user.read(&regenerated.reply).await.text, "Yes.");
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_slow_subscriber_receives_the_remaining_text_and_the_end() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).text(", two").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let events = app
        .chatrooms
        .replies
        .reply_events(user.id.parse().unwrap(), sent.reply.parse().unwrap(), None)
        .await
        .unwrap();
    let mut events = pin!(events);
    assert!(matches!(events.next().await, Some(Ok(ReplyEvent::Delta { text, .. })) if text == "One"));
    gate.release_one();
    user.read(&sent.reply).await;
    // The remaining text and the end have now been published, and this subscriber has read neither.
    let rest =
        tokio::time::timeout(TEST_TIMEOUT, events.collect::<Vec<_>>()).await.expect("the end was missed");
    assert!(
        matches!(&rest[..], [Ok(ReplyEvent::Delta { text, .. }), Ok(ReplyEvent::Ended { .. })] if text == ", two")
    );
    app.stop().await;
}

#[tokio::test]
async fn a_fenced_worker_cannot_append_to_the_reply() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let (old_attempt, new_attempt) = (Gate::closed(), Gate::closed());
    app.gemini.enqueue(Script::new().text("Old").wait(&old_attempt).text(" and late").finish("STOP"));
    app.gemini.enqueue(Script::new().text("New").wait(&new_attempt).text(" and whole").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Old").await;
    // The lease of 30 seconds expires, and the job is claimed again while the old attempt still runs.
    app.advance(chrono::TimeDelta::seconds(31)).await;
    follower.read_until("New").await;
    assert_eq!(follower.restarts, 1);
    old_attempt.release_one();
    new_attempt.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "New and whole");
    let message = user.message(&sent.reply).await;
    assert_eq!((&message["content"], &message["cursor"]), (&json!("New and whole"), &json!("2-13")));
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_fenced_worker_cannot_finish_the_reply() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let (old_attempt, new_attempt) = (Gate::closed(), Gate::closed());
    app.gemini.enqueue(Script::new().text("Old").wait(&old_attempt).finish("STOP"));
    app.gemini.enqueue(Script::new().text("New").wait(&new_attempt).text(" and whole").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Old").await;
    // The lease of 30 seconds expires, and the job is claimed again while the old attempt still runs.
    app.advance(chrono::TimeDelta::seconds(31)).await;
    follower.read_until("New").await;
    old_attempt.release_one();
    // A reply in another chatroom gives the old attempt time to try to finish. It must be rejected.
    let other_reply = user.create_chatroom("y").await.send("hi").await;
    user.read(&other_reply.reply).await;
    assert_eq!(user.message(&sent.reply).await["status"], "STREAMING");
    new_attempt.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "New and whole");
    app.stop().await;
}

#[tokio::test]
async fn the_text_so_far_is_saved_to_the_row_while_streaming() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Text so far").wait(&gate).finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let saved = async {
        loop {
            let message = user.message(&sent.reply).await;
            if message["content"] != "" {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(TEST_TIMEOUT, saved).await.unwrap();
    assert_eq!((&message["content"], &message["cursor"]), (&json!("Text so far"), &json!("1-11")));
    assert_eq!(message["status"], "STREAMING");
    gate.release_one();
    let mut follower = user.follow(&sent.reply, Some("1-11")).await;
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "", "the saved cursor must point to the end of the saved text");
    app.stop().await;
}

#[tokio::test]
async fn a_reply_longer_than_512_kib_is_truncated_and_finishes_with_max_tokens() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    // The `!` makes the offsets of the two-byte characters odd, so that one of them crosses the limit, which is even.
    let part = "é".repeat(32 * 1024);
    let script =
        Script::new().text("!").text(&part).text(&part).text(&part).text(&part).text(&part).text(&part);
    let script = script.text(&part).text(&part).text(&part).hang();
    app.gemini.enqueue(script);
    let sent = user.create_chatroom("x").await.send("hi").await;
    let follower = user.read(&sent.reply).await;
    let message = user.message(&sent.reply).await;
    assert_eq!((&message["status"], &message["finishReason"]), (&json!("COMPLETED"), &json!("MAX_TOKENS")));
    assert_eq!(message["content"].as_str().unwrap().len(), 512 * 1024 - 1);
    assert!(message["content"] == follower.text);
    // After the log has expired, the row serves the text in several events.
    app.advance(chrono::TimeDelta::minutes(11)).await;
    let late = user.read(&sent.reply).await;
    assert!(late.text == follower.text);
    app.stop().await;
}
