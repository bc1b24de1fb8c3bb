//! Editing a message, and switching between the versions of a message.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestApp, TestUser, chatroom_copy::ChatroomCopy, code_of, user::TestChatroom,
};

/// Returns the texts of the messages of the active branch.
async fn contents(chatroom: &TestChatroom) -> Vec<String> {
    chatroom.branch().await.into_iter().map(|(_, content)| content).collect()
}

/// Returns the ids of all versions of a message, and the ids of those that are current.
async fn versions(user: &TestUser, message: &str) -> (Vec<String>, Vec<String>) {
    let query = "query($id: ID!) { node(id: $id) { ... on Message { alternatives { id isCurrent } } } }";
    let data = user.data(query, json!({ "id": message })).await;
    let ids = |filter: fn(&&Value) -> bool| {
        let versions = data["node"]["alternatives"].as_array().unwrap().iter();
        versions.filter(filter).map(|version| version["id"].as_str().unwrap().to_owned()).collect()
    };
    (ids(|_| true), ids(|version| version["isCurrent"] == true))
}

/// Returns the texts of the last prompt that the model received.
fn last_prompt(app: &TestApp) -> Vec<String> {
    let call = app.gemini.calls().pop().unwrap();
    let turns = call.body["contents"].as_array().unwrap().iter();
    turns.map(|turn| turn["parts"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn editing_a_message_starts_a_branch_and_the_old_branch_can_be_selected() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    app.gemini.respond_with(|body| {
        let last = body["contents"].as_array().unwrap().last().unwrap().clone();
        Script::reply(["To ", last["parts"][0]["text"].as_str().unwrap()])
    });
    let one = chatroom.send("one").await;
    user.read(&one.reply).await;
    let two = chatroom.send("two").await;
    user.read(&two.reply).await;
    let edited = user.edit(&two.message, "second").await.unwrap();
    assert_eq!(edited.used, 3);
    assert_eq!(user.read(&edited.reply).await.text, "To second");
    assert_eq!(contents(&chatroom).await, ["one", "To one", "second", "To second"]);
    assert_eq!(last_prompt(&app), ["one", "To one", "second"]);
    let both_versions = vec![two.message.clone(), edited.message.clone()];
    let current = vec![edited.message.clone()];
    assert_eq!(versions(&user, &two.message).await, (both_versions.clone(), current));

    let first = user.edit(&one.message, "first").await.unwrap();
    user.read(&first.reply).await;
    assert_eq!(contents(&chatroom).await, ["first", "To first"]);
    let query = "query($id: ID!) { chatroom(id: $id) { lastMessage { content } } }";
    let last = user.data(query, json!({ "id": chatroom.id })).await;
    assert_eq!(last["chatroom"]["lastMessage"]["content"], "To first");

    user.select(&two.message).await.unwrap();
    assert_eq!(contents(&chatroom).await, ["one", "To one", "two", "To two"]);
    assert_eq!(versions(&user, &two.message).await, (both_versions, vec![two.message.clone()]));
    let more = chatroom.send("more").await;
    user.read(&more.reply).await;
    assert_eq!(last_prompt(&app), ["one", "To one", "two", "To two", "more"]);
    app.stop().await;
}

#[tokio::test]
async fn selecting_a_version_activates_the_branch_below_it_that_has_the_newest_message() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let root = chatroom.send("root").await;
    user.read(&root.reply).await;
    let newer = user.regenerate(&root.reply).await.unwrap();
    user.read(&newer.reply).await;
    // The newest message is below the older reply.
    user.select(&root.reply).await.unwrap();
    let below = chatroom.send("below the older").await;
    user.read(&below.reply).await;
    let edited = user.edit(&root.message, "other root").await.unwrap();
    user.read(&edited.reply).await;
    user.select(&root.message).await.unwrap();
    assert_eq!(contents(&chatroom).await, ["root", "Yes.", "below the older", "Yes."]);
    // Selecting a version that is already current changes nothing, even if the newest message below it is on another branch.
    user.select(&newer.reply).await.unwrap();
    user.select(&root.message).await.unwrap();
    assert_eq!(contents(&chatroom).await, ["root", "Yes."]);
    app.stop().await;
}

#[tokio::test]
async fn concurrent_edits_all_succeed_and_events_name_the_same_current_version() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    let contents = ["a", "b", "c", "d"];
    let edits = join_all(contents.map(|content| user.edit(&sent.message, content))).await;
    let mut expected: Vec<_> = edits.into_iter().map(|edit| edit.unwrap().message).collect();
    app.wait_until_idle().await;
    let (mut all_versions, current) = versions(&user, &sent.message).await;
    assert_eq!(current.len(), 1);
    expected.push(sent.message);
    all_versions.sort();
    expected.sort();
    assert_eq!(all_versions, expected);
    let branch = chatroom.branch().await;
    assert_eq!(branch.len(), 2, "{branch:?}");
    copy.catch_up().await;
    assert_eq!(copy.branch()[0]["id"], current[0].as_str());
    app.stop().await;
}

#[tokio::test]
async fn a_running_reply_leaves_the_active_branch_and_returns_to_it_with_its_text() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let (first_gate, second_gate) = (Gate::closed(), Gate::closed());
    app.gemini.enqueue(Script::new().text("One, ").wait(&first_gate).text("two").finish("STOP"));
    app.gemini.enqueue(Script::new().text("Un, ").wait(&second_gate).text("deux").finish("STOP"));
    let sent = chatroom.send("count").await;
    user.follow(&sent.reply, None).await.read_until("One").await;
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    copy.apply_until(&["count", "One, "]).await;
    let edited = user.edit(&sent.message, "compte").await.unwrap();
    user.follow(&edited.reply, None).await.read_until("Un").await;
    copy.apply_until(&["compte", "Un, "]).await;
    user.select(&sent.message).await.unwrap();
    copy.apply_until(&["count", "One, "]).await;
    first_gate.release_one();
    second_gate.release_one();
    app.wait_until_idle().await;
    copy.catch_up().await;
    assert_eq!(copy.contents(), ["count", "One, two"]);
    assert_eq!(
        user.message(&edited.reply).await["content"],
        "Un, deux",
        "the reply outside the active branch was completed"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_edit_or_regeneration_returns_the_first_result_and_uses_no_quota() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    let edits = join_all((0..10).map(|_| user.edit_with_key(&sent.message, "ho", "k1"))).await;
    let first = edits[0].clone().unwrap();
    assert!(edits.iter().all(|edit| edit.as_ref() == Ok(&first)), "{edits:?}");
    user.read(&first.reply).await;
    let conflict = user.edit_with_key(&sent.message, "other", "k1").await.unwrap_err();
    assert_eq!(code_of(&conflict), "CONFLICT");
    let regenerate = "mutation($id: ID!, $key: String) {
        regenerateReply(input: { messageId: $id, idempotencyKey: $key }) { reply { id } }
    }";
    let regenerated =
        join_all((0..5).map(|_| user.data(regenerate, json!({"id": first.reply, "key": "k2"})))).await;
    assert!(regenerated.iter().all(|response| *response == regenerated[0]), "{regenerated:?}");
    assert_eq!(user.error_code(regenerate, json!({"id": first.reply, "key": "k1"})).await, "CONFLICT");
    assert_eq!(user.used().await, 3);
    app.stop().await;
}

#[tokio::test]
async fn a_chatroom_created_twice_with_one_key_exists_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let create =
        "mutation($input: CreateChatroomInput!) { createChatroom(input: $input) { chatroom { id } } }";
    let input = json!({"input": {"title": "x", "idempotencyKey": "k"}});
    let created = join_all((0..10).map(|_| user.data(create, input.clone()))).await;
    assert!(created.iter().all(|response| *response == created[0]), "{created:?}");
    let listed = user.data("{ chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(listed["chatrooms"]["nodes"], json!([created[0]["createChatroom"]["chatroom"]]));
    let other_input = json!({"input": {"title": "y", "idempotencyKey": "k"}});
    assert_eq!(user.error_code(create, other_input).await, "CONFLICT");
    app.stop().await;
}

#[tokio::test]
async fn an_invalid_edit_is_rejected_and_changes_nothing() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1"]).await;
    let (user, other_user) = (app.user().await, app.user().await);
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    let rejected = user.edit(&sent.reply, "hi").await.unwrap_err();
    assert_eq!(code_of(&rejected), "BAD_USER_INPUT");
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "messageId");
    let rejected = user.edit(&sent.message, &"x".repeat(32_001)).await.unwrap_err();
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "content");
    assert_eq!(code_of(&user.edit(&sent.message, "ho").await.unwrap_err()), "QUOTA_EXCEEDED");
    for rejected in [other_user.edit(&sent.message, "ho").await, other_user.edit("nonsense", "ho").await] {
        assert_eq!(code_of(&rejected.unwrap_err()), "NOT_FOUND");
    }
    for id in [sent.message.as_str(), "nonsense"] {
        assert_eq!(code_of(&other_user.select(id).await.unwrap_err()), "NOT_FOUND");
    }
    assert_eq!(contents(&chatroom).await, ["hi", "Yes."]);
    app.stop().await;
}
