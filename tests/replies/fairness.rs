//! Which queued reply a worker claims next: limits for each user, fairness between users, and the order within a chatroom.

use chrono::TimeDelta;
use entity::job;
use pollux::{
    config::Role,
    store::{
        commit,
        jobs::{self, ClaimTerms},
    },
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
    let last_text = |call: crate::support::gemini::Call| {
        let turn = call.body["contents"].as_array().unwrap().last().unwrap().clone();
        turn["parts"][0]["text"].as_str().unwrap().to_owned()
    };
    app.gemini.calls().into_iter().map(last_text).collect()
}

#[tokio::test]
async fn a_users_replies_run_in_the_order_of_their_messages_across_chatrooms() {
    let app = TestApp::with_settings(&["--basic-parallel-replies=1"]).await;
    let user = app.user().await;
    let (chatroom_one, chatroom_two) = (user.create_chatroom("one").await, user.create_chatroom("two").await);
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("First").wait(&gate).finish("STOP"));
    let first = chatroom_one.send("1").await;
    user.follow(&first.reply, None).await.read_until("First").await;
    chatroom_two.send("2").await;
    let last = chatroom_one.send("3").await;
    gate.open();
    user.read(&last.reply).await;
    assert_eq!(prompts(&app), ["1", "2", "3"]);
    app.stop().await;
}

#[tokio::test]
async fn a_queue_in_one_chatroom_does_not_delay_an_older_message_of_another_user() {
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
async fn a_users_first_job_is_claimed_before_the_second_of_a_user_with_a_long_queue() {
    // An API node has no worker, so that only the test claims jobs.
    let app = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let (db, now) = (&app.chatrooms.db, app.clock.now());
    let busy = insert_user(db.write(), "+14155550101", now).await.id;
    let other = insert_user(db.write(), "+14155550102", now).await.id;
    let enqueue = |user, count: i64, age: TimeDelta| async move {
        let tx = db.begin().await.unwrap();
        for number in 0..count {
            let run_at = now - age + TimeDelta::milliseconds(number);
            let job = job::Model { user_id: Some(user), run_at, ..jobs::new("test", run_at) };
            jobs::insert(&tx, job).await.unwrap();
        }
        commit(tx).await.unwrap();
    };
    // So many that the claims that find too few jobs among the first of the queue must consider all.
    enqueue(busy, 5000, TimeDelta::minutes(2)).await;
    enqueue(other, 2, TimeDelta::minutes(1)).await;
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
    assert_eq!(
        claim(1).await,
        ["busy"],
        "both users have one running job, and the next job of the busy user is older"
    );
    assert_eq!(
        claim(10).await,
        ["busy", "other"],
        "the third of the busy user, which is the limit, and the last of the other"
    );
    assert!(
        claim(10).await.is_empty(),
        "the busy user has reached the limit, and the other has no further job"
    );
    app.shut_down().await;
}
