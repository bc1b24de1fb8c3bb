//! The prompt that the model receives for a reply.

use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp};

fn turn(role: &str, text: &str) -> Value {
    json!({"role": role, "parts": [{"text": text}]})
}

#[tokio::test]
async fn the_prompt_contains_the_chatrooms_system_instruction() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom_with(json!({"title": "x", "systemInstruction": "Be brief."})).await;
    user.read(&chatroom.send("hi").await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    assert_eq!(call.body["systemInstruction"], json!({"parts": [{"text": "Be brief."}]}));
    app.stop().await;
}

#[tokio::test]
async fn the_prompt_contains_the_newest_messages_that_fit_and_starts_with_a_user_message() {
    // A token counts as four bytes, so that forty bytes fit.
    let app = TestApp::with_settings(&["--model-history-tokens=10"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    for content in ["a message of twenty-7 bytes", "sixteen bytes ok", "and sixteen more"] {
        user.read(&chatroom.send(content).await.reply).await;
    }
    // 16 + 4 + 16 bytes fit. The reply before them would also fit, but not its question.
    let call = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "sixteen bytes ok"}]},
        {"role": "model", "parts": [{"text": "Yes."}]},
        {"role": "user", "parts": [{"text": "and sixteen more"}]},
    ]);
    assert_eq!(call.body["contents"], expected);
    // The newest message is sent even if it alone exceeds the limit.
    let long = "x".repeat(100);
    user.read(&chatroom.send(&long).await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    assert_eq!(call.body["contents"], json!([{"role": "user", "parts": [{"text": long}]}]));
    app.stop().await;
}

#[tokio::test]
async fn the_prompt_omits_failed_replies_and_keeps_stopped_ones() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    app.gemini.enqueue(Script::new().text("Half").finish("SAFETY"));
    user.read(&chatroom.send("one").await.reply).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Stopped").wait(&gate).finish("STOP"));
    let stopped = chatroom.send("two").await;
    user.follow(&stopped.reply, None).await.read_until("Stopped").await;
    user.stop(&stopped.reply).await;
    user.read(&chatroom.send("three").await.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    let expected = json!([
        {"role": "user", "parts": [{"text": "one\n\ntwo"}]},
        {"role": "model", "parts": [{"text": "Stopped"}]},
        {"role": "user", "parts": [{"text": "three"}]},
    ]);
    assert_eq!(call.body["contents"], expected);
    app.stop().await;
}

#[tokio::test]
async fn the_prompt_of_a_long_conversation_is_complete_and_in_order() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut expected = Vec::new();
    let mut last = String::new();
    // 120 messages are more than the first page of the prompt's messages.
    for number in 0..60 {
        let content = format!("question {number}");
        last = chatroom.send(&content).await.reply;
        user.read(&last).await;
        expected.extend([turn("user", &content), turn("model", "Yes.")]);
    }
    expected.pop();
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!(expected));
    let regenerated = user.regenerate(&last).await.unwrap();
    user.read(&regenerated.reply).await;
    assert_eq!(
        app.gemini.calls().pop().unwrap().body["contents"],
        json!(expected),
        "the prompt must not contain the old reply"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_reply_whose_branch_became_inactive_gets_the_prompt_of_its_branch() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let first = chatroom.send("one").await;
    user.read(&first.reply).await;
    // Two replies in other chatrooms use up the user's limit of parallel replies.
    let gate = Gate::closed();
    for title in ["y", "z"] {
        app.gemini.enqueue(Script::new().text("Wait").wait(&gate).finish("STOP"));
        let running = user.create_chatroom(title).await.send("wait").await;
        user.follow(&running.reply, None).await.read_until("Wait").await;
    }
    let second = chatroom.send("two").await;
    assert_eq!(user.message(&second.reply).await["status"], "QUEUED");
    // The new reply comes before the one to `second` in the chatroom, so it is written first: the last call is for `second`.
    user.regenerate(&first.reply).await.unwrap();
    gate.open();
    user.read(&second.reply).await;
    let call = app.gemini.calls().pop().unwrap();
    let expected = [turn("user", "one"), turn("model", "Yes."), turn("user", "two")];
    assert_eq!(call.body["contents"], json!(expected));
    app.stop().await;
}

#[tokio::test]
async fn the_prompt_follows_the_selected_branch() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let one = chatroom.send("one").await;
    user.read(&one.reply).await;
    let two = chatroom.send("two").await;
    user.read(&two.reply).await;
    let edited = user.edit(&two.message, "second").await.unwrap();
    user.read(&edited.reply).await;
    user.select(&two.message).await.unwrap();
    user.read(&chatroom.send("three").await.reply).await;
    let expected = [
        turn("user", "one"),
        turn("model", "Yes."),
        turn("user", "two"),
        turn("model", "Yes."),
        turn("user", "three"),
    ];
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!(expected));
    // This branch is shorter than the one of the last prompt.
    let first = user.edit(&one.message, "first").await.unwrap();
    user.read(&first.reply).await;
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!([turn("user", "first")]));
    user.select(&edited.message).await.unwrap();
    user.read(&chatroom.send("third").await.reply).await;
    let expected = [
        turn("user", "one"),
        turn("model", "Yes."),
        turn("user", "second"),
        turn("model", "Yes."),
        turn("user", "third"),
    ];
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!(expected));
    app.stop().await;
}

#[tokio::test]
async fn a_long_failed_reply_does_not_displace_the_messages_before_it() {
    // A token counts as four bytes, so that forty bytes fit.
    let app = TestApp::with_settings(&["--model-history-tokens=10"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    user.read(&chatroom.send("one").await.reply).await;
    app.gemini.enqueue(Script::new().text(&"long ".repeat(20)).finish("SAFETY"));
    user.read(&chatroom.send("two").await.reply).await;
    let mut expected = vec![turn("user", "one"), turn("model", "Yes."), turn("user", "two\n\nthree")];
    user.read(&chatroom.send("three").await.reply).await;
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!(expected));
    expected.extend([turn("model", "Yes."), turn("user", "four")]);
    user.read(&chatroom.send("four").await.reply).await;
    assert_eq!(app.gemini.calls().pop().unwrap().body["contents"], json!(expected));
    app.stop().await;
}
