//! `stopReply` before the first token, while streaming, while queued and between attempts.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, socket::TEST_TIMEOUT};

#[tokio::test]
async fn stopping_before_the_first_token_cancels_the_reply_without_text() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().wait(&gate).text("late").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    assert_eq!(user.stop(&sent.reply).await, json!({"status": "CANCELLED", "content": ""}));
    assert_eq!(follower.read_to_end().await, "ReplyCancelled");
    assert_eq!(follower.text, "");
    app.stop().await;
}

#[tokio::test]
async fn stopping_while_streaming_keeps_the_text_so_far() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("So far").wait(&gate).text(" so good").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("So far").await;
    assert_eq!(user.stop(&sent.reply).await, json!({"status": "CANCELLED", "content": "So far"}));
    assert_eq!(follower.read_to_end().await, "ReplyCancelled");
    assert_eq!(follower.text, "So far");
    // A second stop changes nothing, and the reply can be regenerated.
    assert_eq!(user.stop(&sent.reply).await["content"], "So far");
    assert_eq!(user.used().await, 1, "a stopped reply is charged");
    let regenerated = user.regenerate(&sent.reply).await.unwrap();
    assert_eq!(user.read(&regenerated.reply).await.text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn stopping_a_queued_reply_cancels_it_without_a_model_call() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).finish("STOP"));
    let first = chatroom.send("one").await;
    user.follow(&first.reply, None).await.read_until("One").await;
    let second = chatroom.send("two").await;
    let queued = user.message(&second.reply).await;
    assert_eq!((&queued["status"], &queued["queuePosition"]), (&json!("QUEUED"), &json!(1)));
    assert_eq!(user.stop(&second.reply).await["status"], "CANCELLED");
    assert_eq!(user.message(&second.reply).await["queuePosition"], Value::Null);
    gate.open();
    assert_eq!(user.read(&first.reply).await.text, "One");
    assert_eq!(app.gemini.calls().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn twenty_concurrent_stops_all_return_the_same_cancelled_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("So").wait(&gate).finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("So").await;
    let stops = join_all((0..20).map(|_| user.stop(&sent.reply))).await;
    assert!(
        stops.iter().all(|stopped| *stopped == json!({"status": "CANCELLED", "content": "So"})),
        "{stops:?}"
    );
    app.stop().await;
}

#[tokio::test]
async fn stopping_a_reply_that_awaits_its_retry_cancels_it_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let info = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "100s"}]);
    app.gemini.enqueue(Script::gemini_error(429, "RESOURCE_EXHAUSTED", info));
    let sent = user.create_chatroom("x").await.send("hi").await;
    // A reply that has failed once is queued again, with the cursor of its first attempt.
    let retry_scheduled = async {
        loop {
            let message = user.message(&sent.reply).await;
            if message["status"] == "QUEUED" && message["cursor"] == "1-0" {
                return;
            }
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, retry_scheduled).await.unwrap();
    assert_eq!(user.stop(&sent.reply).await["status"], "CANCELLED");
    app.stop().await;
}
