//! Which queued reply a worker claims next: limits per user, fairness between users, and the order within a chatroom.

use serde_json::json;

use crate::support::{Gate, Script, TestApp};

#[tokio::test]
async fn a_basic_user_runs_at_most_two_replies_concurrently() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    for _ in 0..3 {
        app.gemini.enqueue(Script::new().text("On it").wait(&gate).finish("STOP"));
    }
    let mut replies = Vec::new();
    for title in ["a", "b", "c"] {
        replies.push(user.create_chatroom(title).await.send("hi").await.reply);
    }
    for reply in &replies[..2] {
        user.follow(reply, None).await.read_until("On it").await;
    }
    assert_eq!(user.message(&replies[2]).await["status"], "QUEUED");
    assert_eq!(app.gemini.calls().len(), 2);
    gate.open();
    user.follow(&replies[2], None).await.read_until("On it").await;
    gate.open_permanently();
    for reply in &replies {
        assert_eq!(user.read(reply).await.text, "On it");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_burst_of_one_user_does_not_delay_another_users_first_reply() {
    let app = TestApp::with_settings(&["--worker-concurrency=3", "--basic-parallel-replies=3"]).await;
    let (busy, other) = (app.user().await, app.user().await);
    let gate = Gate::closed();
    for _ in 0..3 {
        app.gemini.enqueue(Script::new().text("busy").wait(&gate).finish("STOP"));
    }
    let mut replies = Vec::new();
    for n in 0..6 {
        replies.push(busy.create_chatroom(&n.to_string()).await.send("hi").await.reply);
    }
    for reply in &replies[..3] {
        busy.follow(reply, None).await.read_until("busy").await;
    }
    // All permits of the worker are in use. The other user's first reply runs before the three queued ones of the busy user.
    app.gemini.enqueue(Script::reply(["for the other"]));
    let first = other.create_chatroom("x").await.send("hi").await.reply;
    gate.open();
    assert_eq!(other.read(&first).await.text, "for the other");
    gate.open_permanently();
    for reply in &replies {
        busy.read(reply).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn replies_of_one_chatroom_run_in_order() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("First").wait(&gate).finish("STOP"));
    let first = chatroom.send("one").await;
    user.follow(&first.reply, None).await.read_until("First").await;
    let second = chatroom.send("two").await;
    assert_eq!(user.message(&second.reply).await["status"], "QUEUED");
    gate.open_permanently();
    user.read(&second.reply).await;
    let last = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "one"}]},
        {"role": "model", "parts": [{"text": "First"}]},
        {"role": "user", "parts": [{"text": "two"}]},
    ]);
    assert_eq!(last.body["contents"], expected, "the second prompt contains the first reply");
    app.stop().await;
}
