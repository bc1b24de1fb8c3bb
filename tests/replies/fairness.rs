//! Whose turn it is, and what the model is told.

use serde_json::json;

use crate::support::{Gate, Script, TestApp};

#[tokio::test]
async fn a_user_without_a_subscription_has_two_replies_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    for _ in 0..3 {
        app.gemini.answers(Script::new().text("On it").wait(&gate).finish("STOP"));
    }
    let mut replies = Vec::new();
    for title in ["a", "b", "c"] {
        replies.push(user.room(title).await.ask("hi").await.reply);
    }
    for reply in &replies[..2] {
        user.follow(reply, None).await.until("On it").await;
    }
    assert_eq!(user.message(&replies[2]).await["status"], "QUEUED");
    assert_eq!(app.gemini.calls().len(), 2);
    gate.open();
    user.follow(&replies[2], None).await.until("On it").await;
    gate.open_wide();
    for reply in &replies {
        assert_eq!(user.read(reply).await.text, "On it");
    }
    app.stop().await;
}

#[tokio::test]
async fn one_users_burst_does_not_delay_anothers_first_reply() {
    let app = TestApp::with_settings(&["--worker-concurrency=3", "--basic-parallel-replies=3"]).await;
    let (busy, other) = (app.user().await, app.user().await);
    let gate = Gate::closed();
    for _ in 0..3 {
        app.gemini.answers(Script::new().text("busy").wait(&gate).finish("STOP"));
    }
    let mut replies = Vec::new();
    for n in 0..6 {
        replies.push(busy.room(&n.to_string()).await.ask("hi").await.reply);
    }
    for reply in &replies[..3] {
        busy.follow(reply, None).await.until("busy").await;
    }
    // All places are taken; three of the busy user's wait, and then the other's first.
    app.gemini.answers(Script::says(["for the other"]));
    let first = other.room("x").await.ask("hi").await.reply;
    gate.open();
    assert_eq!(other.read(&first).await.text, "for the other");
    gate.open_wide();
    for reply in &replies {
        busy.read(reply).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn replies_of_one_room_are_written_one_after_the_other() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("First").wait(&gate).finish("STOP"));
    let first = room.ask("one").await;
    user.follow(&first.reply, None).await.until("First").await;
    let second = room.ask("two").await;
    assert_eq!(user.message(&second.reply).await["status"], "QUEUED");
    gate.open_wide();
    user.read(&second.reply).await;
    let last = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "one"}]},
        {"role": "model", "parts": [{"text": "First"}]},
        {"role": "user", "parts": [{"text": "two"}]},
    ]);
    assert_eq!(last.body["contents"], expected, "the second reply has read the first");
    app.stop().await;
}

#[tokio::test]
async fn the_model_is_told_the_rooms_instruction() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room_with(json!({"systemInstruction": "Be brief."})).await;
    user.read(&room.ask("hi").await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    assert_eq!(call.body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    app.stop().await;
}

#[tokio::test]
async fn the_newest_messages_that_fit_are_told_and_the_first_is_the_users() {
    // Ten tokens are forty bytes.
    let app = TestApp::with_settings(&["--gemini-history-tokens=10"]).await;
    let user = app.user().await;
    let room = user.room("x").await;
    for content in ["a message of twenty-7 bytes", "sixteen bytes ok", "and sixteen more"] {
        user.read(&room.ask(content).await.reply).await;
    }
    // 16 + 4 + 16 bytes fit; the reply before would, too, but its question does not.
    let call = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "sixteen bytes ok"}]},
        {"role": "model", "parts": [{"text": "Yes."}]},
        {"role": "user", "parts": [{"text": "and sixteen more"}]},
    ]);
    assert_eq!(call.body["contents"], expected);
    // The newest is told even where it alone is too long.
    let long = "x".repeat(100);
    user.read(&room.ask(&long).await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    assert_eq!(call.body["contents"], json!([{"role": "user", "parts": [{"text": long}]}]));
    app.stop().await;
}

#[tokio::test]
async fn failed_replies_are_not_told_and_stopped_ones_are() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    app.gemini.answers(Script::new().text("Half").finish("SAFETY"));
    user.read(&room.ask("one").await.reply).await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Stopped").wait(&gate).finish("STOP"));
    let stopped = room.ask("two").await;
    user.follow(&stopped.reply, None).await.until("Stopped").await;
    user.stop(&stopped.reply).await;
    user.read(&room.ask("three").await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "one\n\ntwo"}]},
        {"role": "model", "parts": [{"text": "Stopped"}]},
        {"role": "user", "parts": [{"text": "three"}]},
    ]);
    assert_eq!(call.body["contents"], expected);
    app.stop().await;
}
