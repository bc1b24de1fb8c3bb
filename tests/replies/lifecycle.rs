//! The life of a reply, as its followers see it.

use std::pin::pin;

use futures_util::StreamExt;
use pollux::domain::chat::ReplyEvent;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, socket::PATIENCE};

#[tokio::test]
async fn a_reply_is_told_as_it_is_written_and_kept() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Hello").wait(&gate).text(", wörld").finish("STOP"));
    let asked = room.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Hello").await;
    assert_eq!(follower.cursor, "1-5");
    assert_eq!(user.message(&asked.reply).await["status"], "STREAMING");
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("Hello, wörld", "1-13"));
    let message = user.message(&asked.reply).await;
    assert_eq!(message["content"], "Hello, wörld");
    assert_eq!((&message["status"], &message["cursor"]), (&json!("COMPLETED"), &json!("1-13")));
    assert_eq!((&message["finishReason"], &message["model"]), (&json!("STOP"), &json!("model-a-001")));
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 8, "thoughts": 3, "total": 15}));
    assert_eq!(message["inReplyTo"], json!({ "id": asked.message }));
    app.stop().await;
}

#[tokio::test]
async fn two_hundred_chunks_reach_every_follower_whole() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let chunks: Vec<String> = (0..200).map(|n| format!("chunk {n} é😀\n")).collect();
    let gate = Gate::closed();
    let script = chunks.iter().fold(Script::new(), |script, chunk| script.wait(&gate).text(chunk));
    app.gemini.answers(script.wait(&gate).finish("STOP"));
    let asked = room.ask("hi").await;
    let from_the_start = async {
        let mut follower = user.follow(&asked.reply, None).await;
        let mut last = String::new();
        while let Some(kind) = follower.step().await {
            gate.open();
            last = kind;
        }
        (follower.text, last)
    };
    let reconnecting = async {
        let mut text = String::new();
        let mut cursor: Option<String> = None;
        for turn in 1..=5 {
            let mut follower = user.follow(&asked.reply, cursor.as_deref()).await;
            follower.until(&format!("chunk {} ", turn * 30)).await;
            text.push_str(&follower.text);
            cursor = Some(follower.cursor);
        }
        let mut follower = user.follow(&asked.reply, cursor.as_deref()).await;
        follower.until_the_end().await;
        assert_eq!(follower.restarts, 0);
        text + &follower.text
    };
    let half_way = async {
        let mut watcher = user.follow(&asked.reply, None).await;
        watcher.until("chunk 100 ").await;
        user.read(&asked.reply).await.text
    };
    gate.open();
    gate.open();
    let ((whole, last), resumed, joined) = tokio::join!(from_the_start, reconnecting, half_way);
    assert_eq!(last, "ReplyCompleted");
    let expected = chunks.concat();
    assert_eq!(whole, expected);
    assert_eq!(resumed, expected);
    assert_eq!(joined, expected);
    assert_eq!(user.message(&asked.reply).await["content"], expected);
    app.stop().await;
}

#[tokio::test]
async fn a_cursor_works_on_an_ended_reply_too() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let whole = user.read(&asked.reply).await;
    assert_eq!((whole.text.as_str(), whole.cursor.as_str()), ("Yes.", "1-4"));
    for (after, rest, restarts) in [
        (None, "Yes.", 0),
        (Some("0-0"), "Yes.", 0),
        (Some("1-0"), "Yes.", 0),
        (Some("1-2"), "s.", 0),
        (Some("1-4"), "", 0),
        // Cursors of texts that are no more, or never were: begin anew.
        (Some("1-9"), "Yes.", 1),
        (Some("7-2"), "Yes.", 1),
    ] {
        let mut follower = user.follow(&asked.reply, after).await;
        assert_eq!(follower.until_the_end().await, "ReplyCompleted");
        assert_eq!((follower.text.as_str(), follower.restarts), (rest, restarts), "{after:?}");
        assert_eq!(follower.cursor, "1-4");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_event_of_which_nothing_was_selected_is_an_empty_object() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let asked = user.room("x").await.ask("hi").await;
    user.read(&asked.reply).await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { text } } }";
    socket.subscribe("1", query, &json!({ "id": asked.reply })).await;
    let mut text = String::new();
    loop {
        let event = socket.next().await.unwrap()["payload"]["data"]["replyStream"].take();
        let Some(piece) = event["text"].as_str() else { break assert_eq!(event, json!({})) };
        text.push_str(piece);
    }
    assert_eq!(text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!, $after: String) { replyStream(messageId: $id, after: $after) { __typename } }";
    for (id, after, field) in
        [(&asked.reply, json!("x"), "after"), (&asked.message, Value::Null, "messageId")]
    {
        socket.subscribe("1", query, &json!({"id": id, "after": after})).await;
        let said = socket.next().await.unwrap();
        assert_eq!(said["payload"]["errors"][0]["extensions"]["field"], field);
        assert_eq!(socket.next().await.unwrap()["type"], "complete");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_retry_after_shown_text_discards_it() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (shown, retry) = (Gate::closed(), Gate::closed());
    app.gemini.answers(Script::new().text("Half an ans").wait(&shown).cut());
    app.gemini.answers(Script::new().wait(&retry).text("A whole answer").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    let cursor = follower.cursor.clone();
    shown.open();
    while follower.restarts == 0 {
        follower.step().await.unwrap();
    }
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("", "2-0"));
    retry.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.cursor.as_str()), ("A whole answer", "2-14"));
    // A device that slept through it all.
    let mut late = user.follow(&asked.reply, Some(&cursor)).await;
    assert_eq!(late.until_the_end().await, "ReplyCompleted");
    assert_eq!((late.text.as_str(), late.restarts), ("A whole answer", 1));
    assert_eq!(user.used().await, 1, "retries cost nothing");
    app.stop().await;
}

#[tokio::test]
async fn four_failures_are_the_end_and_the_unit_is_given_back() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for _ in 0..4 {
        app.gemini.answers(Script::fails(503, "UNAVAILABLE", json!([])));
    }
    let asked = user.room("x").await.ask("hi").await;
    assert_eq!(asked.used, 1);
    let mut follower = user.follow(&asked.reply, None).await;
    assert_eq!(follower.until_the_end().await, "ReplyFailed");
    assert_eq!(app.gemini.calls().len(), 4);
    let message = user.message(&asked.reply).await;
    assert_eq!(message["status"], "FAILED");
    assert_eq!(message["failure"]["code"], "MODEL_UNAVAILABLE");
    assert_eq!(message["failure"]["retryable"], true);
    assert_eq!(user.used().await, 0);
    let again = user.regenerate(&asked.reply).await.unwrap();
    assert_eq!(user.read(&again.reply).await.text, "Yes.");
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_follower_that_was_busy_elsewhere_misses_no_end() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("One").wait(&gate).text(", two").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let events =
        app.chat.reply_events(user.id.parse().unwrap(), asked.reply.parse().unwrap(), None).await.unwrap();
    let mut events = pin!(events);
    assert!(matches!(events.next().await, Some(Ok(ReplyEvent::Delta { text, .. })) if text == "One"));
    gate.open();
    user.read(&asked.reply).await;
    // Its text and its end are announced by now, one behind the other.
    let rest = tokio::time::timeout(PATIENCE, events.collect::<Vec<_>>()).await.expect("the end was missed");
    assert!(
        matches!(&rest[..], [Ok(ReplyEvent::Delta { text, .. }), Ok(ReplyEvent::Ended { .. })] if text == ", two")
    );
    app.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_only_thought_dead_is_not_heard() {
    let app = TestApp::at_a_standstill().await;
    let user = app.user().await;
    let (zombie, next) = (Gate::closed(), Gate::closed());
    app.gemini.answers(Script::new().text("Old").wait(&zombie).text(" and late").finish("STOP"));
    app.gemini.answers(Script::new().text("New").wait(&next).text(" and whole").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Old").await;
    app.pass(chrono::TimeDelta::seconds(31)).await;
    follower.until("New").await;
    assert_eq!(follower.restarts, 1);
    zombie.open();
    next.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "New and whole");
    let message = user.message(&asked.reply).await;
    assert_eq!((&message["content"], &message["cursor"]), (&json!("New and whole"), &json!("2-13")));
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn nor_does_it_end_the_reply() {
    let app = TestApp::at_a_standstill().await;
    let user = app.user().await;
    let (zombie, next) = (Gate::closed(), Gate::closed());
    app.gemini.answers(Script::new().text("Old").wait(&zombie).finish("STOP"));
    app.gemini.answers(Script::new().text("New").wait(&next).text(" and whole").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Old").await;
    app.pass(chrono::TimeDelta::seconds(31)).await;
    follower.until("New").await;
    zombie.open();
    // Another room's reply, from asking to its end, is time enough for the old one's.
    let elsewhere = user.room("y").await.ask("hi").await;
    user.read(&elsewhere.reply).await;
    assert_eq!(user.message(&asked.reply).await["status"], "STREAMING");
    next.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "New and whole");
    app.stop().await;
}

#[tokio::test]
async fn the_text_so_far_is_saved_for_those_who_do_not_follow() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Text so far").wait(&gate).finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let saved = async {
        loop {
            let message = user.message(&asked.reply).await;
            if message["content"] != "" {
                return message;
            }
        }
    };
    let message = tokio::time::timeout(PATIENCE, saved).await.unwrap();
    assert_eq!((&message["content"], &message["cursor"]), (&json!("Text so far"), &json!("1-11")));
    assert_eq!(message["status"], "STREAMING");
    gate.open();
    let mut follower = user.follow(&asked.reply, Some("1-11")).await;
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "", "the cursor of the saved text goes on where it ends");
    app.stop().await;
}

#[tokio::test]
async fn a_reply_without_end_ends_where_all_do() {
    let app = TestApp::at_a_standstill().await;
    let user = app.user().await;
    // The last character would end a byte too far.
    let part = "é".repeat(32 * 1024);
    let script =
        Script::new().text("!").text(&part).text(&part).text(&part).text(&part).text(&part).text(&part);
    let script = script.text(&part).text(&part).text(&part).hang();
    app.gemini.answers(script);
    let asked = user.room("x").await.ask("hi").await;
    let follower = user.read(&asked.reply).await;
    let message = user.message(&asked.reply).await;
    assert_eq!((&message["status"], &message["finishReason"]), (&json!("COMPLETED"), &json!("MAX_TOKENS")));
    assert_eq!(message["content"].as_str().unwrap().len(), 512 * 1024 - 1);
    assert!(message["content"] == follower.text);
    // And read again from the row alone, in parts.
    app.pass(chrono::TimeDelta::minutes(11)).await;
    let late = user.read(&asked.reply).await;
    assert!(late.text == follower.text);
    app.stop().await;
}
