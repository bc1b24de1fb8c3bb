//! Which queued reply a worker claims next: limits per user, fairness between users, and the order within a chatroom.

use chrono::TimeDelta;
use entity::job;
use pollux::{
    config::Role,
    store::jobs::{self, ClaimTerms},
};
use serde_json::json;

use crate::support::{Gate, Script, TestApp, app::TestOptions, user::insert_user};

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
    gate.release_one();
    user.follow(&replies[2], None).await.read_until("On it").await;
    gate.open();
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
    gate.release_one();
    assert_eq!(other.read(&first).await.text, "for the other");
    gate.open();
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
    gate.open();
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

/// The last user message of each model call, in the order of the calls.
fn prompts(app: &TestApp) -> Vec<String> {
    let last = |call: crate::support::gemini::Call| {
        let turn = call.body["contents"].as_array().unwrap().last().unwrap().clone();
        turn["parts"][0]["text"].as_str().unwrap().to_owned()
    };
    app.gemini.calls().into_iter().map(last).collect()
}

#[tokio::test]
async fn a_users_replies_run_in_the_order_of_their_messages_across_chatrooms() {
    let app = TestApp::with_settings(&["--basic-parallel-replies=1"]).await;
    let user = app.user().await;
    let (one, two) = (user.create_chatroom("one").await, user.create_chatroom("two").await);
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("First").wait(&gate).finish("STOP"));
    let first = one.send("1").await;
    user.follow(&first.reply, None).await.read_until("First").await;
    two.send("2").await;
    let last = one.send("3").await;
    gate.open();
    user.read(&last.reply).await;
    assert_eq!(prompts(&app), ["1", "2", "3"]);
    app.stop().await;
}

#[tokio::test]
async fn a_queue_in_one_chatroom_does_not_delay_another_user_of_a_busy_worker() {
    let app = TestApp::with_settings(&["--worker-concurrency=1"]).await;
    let (busy, other) = (app.user().await, app.user().await);
    let chatroom = busy.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("First").wait(&gate).finish("STOP"));
    let first = chatroom.send("1").await;
    busy.follow(&first.reply, None).await.read_until("First").await;
    chatroom.send("2").await;
    other.create_chatroom("y").await.send("other").await;
    let last = chatroom.send("3").await;
    gate.open();
    busy.read(&last.reply).await;
    assert_eq!(prompts(&app), ["1", "2", "other", "3"]);
    app.stop().await;
}

#[tokio::test]
async fn a_user_behind_a_long_queue_of_another_is_next() {
    // No worker claims the jobs.
    let app = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let (db, now) = (&app.chatrooms.db, app.clock.now());
    let busy = insert_user(db.write(), "+14155550101", now).await.id;
    let other = insert_user(db.write(), "+14155550102", now).await.id;
    let queue = |user, count: i64, since: TimeDelta| async move {
        for number in 0..count {
            let run_at = now - since + TimeDelta::milliseconds(number);
            let job = job::Model { user_id: Some(user), run_at, ..jobs::new("test", run_at) };
            jobs::insert(db.write(), job).await.unwrap();
        }
    };
    queue(busy, 1000, TimeDelta::minutes(2)).await;
    queue(other, 2, TimeDelta::minutes(1)).await;
    let claim = |limit| async move {
        let leased_until = now + TimeDelta::seconds(30);
        let terms = ClaimTerms { now, leased_until, limit, basic_cap: 3, pro_cap: 3 };
        let mut claimed: Vec<_> = jobs::claim(db, terms)
            .await
            .unwrap()
            .iter()
            .map(|job| (job.user_id == Some(other), job.run_at))
            .collect();
        claimed.sort_unstable();
        claimed.into_iter().map(|(is_other, _)| if is_other { "other" } else { "busy" }).collect::<Vec<_>>()
    };
    assert_eq!(claim(2).await, ["busy", "other"]);
    assert_eq!(claim(1).await, ["busy"], "the second of each user, the older one first");
    assert_eq!(claim(10).await, ["busy", "other"], "three of the busy user run, and both of the other");
    assert!(claim(10).await.is_empty(), "the limit of the busy user is reached");
    app.shut_down().await;
}
