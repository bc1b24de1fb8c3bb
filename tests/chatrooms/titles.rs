//! Titles that the model gives to chatrooms.

use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, chatroom_copy::ChatroomCopy, user::TestChatroom};

/// Returns the title and `hasGeneratedTitle`.
async fn title(chatroom: &TestChatroom) -> (String, bool) {
    let query = "query($id: ID!) { chatroom(id: $id) { title hasGeneratedTitle } }";
    let found = chatroom.user.data(query, json!({ "id": chatroom.id })).await;
    let title = found["chatroom"]["title"].as_str().unwrap().to_owned();
    (title, found["chatroom"]["hasGeneratedTitle"].as_bool().unwrap())
}

async fn rename(user: &TestUser, chatroom: &TestChatroom, title: &str) {
    let query = "mutation($id: ID!, $title: String) {
        updateChatroom(input: {id: $id, title: $title}) { chatroom { id } }
    }";
    user.data(query, json!({"id": chatroom.id, "title": title})).await;
}

#[tokio::test]
async fn the_first_exchange_gives_the_chatroom_a_title_that_every_device_receives() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom_with(json!({})).await;
    assert_eq!(title(&chatroom).await, ("New chat".to_owned(), true));
    let listed = async || user.data("{ chatrooms { nodes { title } } }", json!({})).await;
    assert_eq!(listed().await["chatrooms"]["nodes"][0]["title"], "New chat");
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    app.gemini.enqueue(Script::reply(["Take ", "the train."]));
    app.gemini.enqueue(Script::reply(["\"Reise nach", " Rom.\"\n"]));
    chatroom.send("Wie komme ich nach Rom?").await;
    app.wait_until_idle().await;
    assert_eq!(title(&chatroom).await, ("Reise nach Rom".to_owned(), true));
    assert_eq!(listed().await["chatrooms"]["nodes"][0]["title"], "Reise nach Rom");
    copy.catch_up().await;
    assert_eq!(copy.chatroom.as_ref().unwrap()["title"], "Reise nach Rom");
    assert_eq!(user.used().await, 1, "a title uses no quota");
    let turns = app.gemini.calls().pop().unwrap().body["contents"].take();
    let texts: Vec<&Value> = turns.as_array().unwrap().iter().map(|turn| &turn["parts"][0]["text"]).collect();
    assert_eq!(texts[..2], ["Wie komme ich nach Rom?", "Take the train."]);
    // The title is generated once.
    chatroom.send("And back?").await;
    app.wait_until_idle().await;
    assert_eq!(app.gemini.calls().len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn a_title_that_was_set_by_hand_is_never_replaced() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let named = user.create_chatroom("Mine").await;
    let renamed = user.create_chatroom_with(json!({})).await;
    rename(&user, &renamed, "Mine, too").await;
    for chatroom in [&named, &renamed] {
        let sent = chatroom.send("hi").await;
        user.read(&sent.reply).await;
    }
    app.wait_until_idle().await;
    assert_eq!(app.gemini.calls().len(), 2);
    // The user sets the title while the model generates one.
    let renamed_meanwhile = user.create_chatroom_with(json!({})).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::reply(["Yes."]));
    app.gemini.enqueue(Script::new().wait(&gate).text("Generated").finish("STOP"));
    renamed_meanwhile.send("hi").await;
    app.gemini.wait_for_calls(4).await;
    rename(&user, &renamed_meanwhile, "Faster").await;
    gate.release_one();
    app.wait_until_idle().await;
    assert_eq!(title(&named).await, ("Mine".to_owned(), false));
    assert_eq!(title(&renamed).await, ("Mine, too".to_owned(), false));
    assert_eq!(title(&renamed_meanwhile).await, ("Faster".to_owned(), false));
    app.stop().await;
}

#[tokio::test]
async fn no_title_is_generated_for_a_temporary_chatroom_or_if_titles_are_off() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let temporary = user.create_chatroom_with(json!({"temporary": true})).await;
    temporary.send("hi").await;
    app.wait_until_idle().await;
    assert_eq!((title(&temporary).await.0, app.gemini.calls().len()), ("New chat".to_owned(), 1));
    app.stop().await;
    let app = TestApp::with_settings(&["--chatroom-titles=off"]).await;
    let chatroom = app.user().await.create_chatroom_with(json!({})).await;
    chatroom.send("hi").await;
    app.wait_until_idle().await;
    assert_eq!((title(&chatroom).await.0, app.gemini.calls().len()), ("New chat".to_owned(), 1));
    app.stop().await;
}

#[tokio::test]
async fn after_a_failed_title_or_a_failed_first_reply_the_next_exchange_gives_a_title() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom_with(json!({})).await;
    app.gemini.enqueue(Script::gemini_error(400, "INVALID_ARGUMENT", json!([])));
    chatroom.send("one").await;
    app.wait_until_idle().await;
    app.gemini.enqueue(Script::reply(["Yes."]));
    app.gemini.enqueue(Script::gemini_error(400, "INVALID_ARGUMENT", json!([])));
    chatroom.send("two").await;
    app.wait_until_idle().await;
    assert_eq!(title(&chatroom).await, ("New chat".to_owned(), true));
    app.gemini.enqueue(Script::reply(["Yes."]));
    app.gemini.enqueue(Script::reply(["At last"]));
    chatroom.send("three").await;
    app.wait_until_idle().await;
    assert_eq!(title(&chatroom).await, ("At last".to_owned(), true));
    app.stop().await;
}

#[tokio::test]
async fn the_demo_model_gives_titles() {
    let app = TestApp::with_settings(&["--gemini-api-key="]).await;
    let chatroom = app.user().await.create_chatroom_with(json!({})).await;
    chatroom.send("How do I get to Rome by train?").await;
    app.wait_until_idle().await;
    assert_eq!(title(&chatroom).await, ("How do I get to Rome".to_owned(), true));
    app.stop().await;
}
