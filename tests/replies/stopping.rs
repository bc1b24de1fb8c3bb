//! Stopping a reply, wherever it is.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, socket::PATIENCE};

#[tokio::test]
async fn a_reply_is_stopped_before_its_first_token() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().wait(&gate).text("late").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    assert_eq!(user.stop(&asked.reply).await, json!({"status": "CANCELLED", "content": ""}));
    assert_eq!(follower.until_the_end().await, "ReplyCancelled");
    assert_eq!(follower.text, "");
    app.stop().await;
}

#[tokio::test]
async fn a_stopped_reply_keeps_the_text_so_far() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("So far").wait(&gate).text(" so good").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("So far").await;
    assert_eq!(user.stop(&asked.reply).await, json!({"status": "CANCELLED", "content": "So far"}));
    assert_eq!(follower.until_the_end().await, "ReplyCancelled");
    assert_eq!(follower.text, "So far");
    // Stopping it again changes nothing; regenerating it does.
    assert_eq!(user.stop(&asked.reply).await["content"], "So far");
    assert_eq!(user.used().await, 1, "a stopped reply was asked for");
    let again = user.regenerate(&asked.reply).await.unwrap();
    assert_eq!(user.read(&again.reply).await.text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn a_reply_that_waits_its_turn_is_stopped_too() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("One").wait(&gate).finish("STOP"));
    let first = room.ask("one").await;
    user.follow(&first.reply, None).await.until("One").await;
    let second = room.ask("two").await;
    let waiting = user.message(&second.reply).await;
    assert_eq!((&waiting["status"], &waiting["queuePosition"]), (&json!("QUEUED"), &json!(1)));
    assert_eq!(user.stop(&second.reply).await["status"], "CANCELLED");
    assert_eq!(user.message(&second.reply).await["queuePosition"], Value::Null);
    gate.open_wide();
    assert_eq!(user.read(&first.reply).await.text, "One");
    assert_eq!(app.gemini.calls().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn twenty_stops_at_once_are_one() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("So").wait(&gate).finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    user.follow(&asked.reply, None).await.until("So").await;
    let stops = join_all((0..20).map(|_| user.stop(&asked.reply))).await;
    assert!(
        stops.iter().all(|stopped| *stopped == json!({"status": "CANCELLED", "content": "So"})),
        "{stops:?}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_reply_that_waits_to_be_tried_again_is_stopped_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "100s"}]);
    app.gemini.answers(Script::fails(429, "RESOURCE_EXHAUSTED", info));
    let asked = user.room("x").await.ask("hi").await;
    let waits = async {
        loop {
            let message = user.message(&asked.reply).await;
            if message["status"] == "QUEUED" && message["cursor"] == "1-0" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.unwrap();
    assert_eq!(user.stop(&asked.reply).await["status"], "CANCELLED");
    app.stop().await;
}
