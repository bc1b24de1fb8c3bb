//! `chatroomListEvents`: following the list of chatrooms.

use serde_json::json;

use crate::support::{Gate, Script, TestApp, code_of, list_copy::ListCopy, socket::Socket};

#[tokio::test]
async fn every_change_of_the_list_reaches_every_device() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let first = user.create_chatroom_with(json!({})).await;
    let mut devices = [ListCopy::follow(&user).await, ListCopy::follow(&user).await];
    let update = async |input: &str| {
        let input = format!("{{id: \"{}\", {input}}}", first.id);
        let query = format!("mutation {{ updateChatroom(input: {input}) {{ chatroom {{ id }} }} }}");
        user.data(&query, json!({})).await;
    };
    let mut kinds = Vec::new();
    let second = user.create_chatroom("second").await;
    for device in &mut devices {
        kinds.push(device.apply_next().await);
        device.catch_up().await;
    }
    assert_eq!(kinds, ["ChatroomCreated"; 2]);
    for input in ["title: \"first\"", "pinned: true", "archived: true", "archived: false"] {
        update(input).await;
        for device in &mut devices {
            assert_eq!(device.apply_next().await, "ChatroomUpdated", "{input}");
            device.catch_up().await;
        }
    }
    // A message, its reply and the generated title change the list.
    let titled = user.create_chatroom_with(json!({})).await;
    app.gemini.enqueue(Script::reply(["Yes", "."]));
    app.gemini.enqueue(Script::reply(["A title"]));
    let sent = titled.send("hi").await;
    app.wait_until_idle().await;
    let regenerated = user.regenerate(&sent.reply).await.unwrap();
    app.wait_until_idle().await;
    let edited = user.edit(&sent.message, "ho").await.unwrap();
    app.wait_until_idle().await;
    user.select(&sent.message).await.unwrap();
    let rate = "mutation($id: ID!) { rateReply(input: { messageId: $id, feedback: UP }) { message { id } } }";
    user.data(rate, json!({ "id": regenerated.reply })).await;
    other.create_chatroom("other").await;
    for device in &mut devices {
        device.catch_up().await;
        assert_eq!(device.chatrooms[&titled.id]["title"], "A title");
        assert_eq!(device.chatrooms[&titled.id]["lastMessage"]["feedback"], "UP");
        assert_eq!(device.chatrooms.len(), 3);
    }
    assert_ne!(edited.reply, regenerated.reply);
    user.data(
        "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
        json!({ "id": second.id }),
    )
    .await;
    for device in &mut devices {
        while device.apply_next().await != "ChatroomDeleted" {}
        device.catch_up().await;
    }
    user.data("mutation { deleteAllChatrooms { deletedCount } }", json!({})).await;
    for device in &mut devices {
        device.catch_up().await;
        assert!(device.chatrooms.is_empty());
    }
    app.stop().await;
}

#[tokio::test]
async fn a_device_that_resumes_reads_the_list_only_if_it_has_changed() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.create_chatroom("a").await;
    let mut copy = ListCopy::follow(&user).await;
    copy.reconnect(&user).await;
    let chatroom = user.create_chatroom("b").await;
    // The subscription reports the new chatroom if it began before the change. Otherwise it reports that the list must be read.
    copy.apply_next().await;
    copy.catch_up().await;
    assert_eq!(copy.chatrooms.len(), 2);
    copy.reconnect(&user).await;
    // A message changes the list after `cursor`, so resuming after `cursor` reports that the list must be read.
    app.gemini.enqueue(Script::new().text("One").wait(&Gate::closed()));
    drop(copy);
    let mut copy = ListCopy::follow(&user).await;
    let cursor = copy.cursor.clone();
    chatroom.send("hi").await;
    app.gemini.wait_for_calls(1).await;
    copy.cursor = cursor;
    copy.reconnect(&user).await;
    assert_eq!(copy.apply_next().await, "ChatroomListReset");
    copy.catch_up().await;
    let delete = "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }";
    user.data(delete, json!({ "id": chatroom.id })).await;
    copy.catch_up().await;
    app.stop().await;
}

#[tokio::test]
async fn following_the_list_requires_a_sign_in() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address, "graphql-transport-ws", &[]).await.unwrap();
    socket.send(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await.unwrap()["type"], "connection_ack");
    socket.subscribe("1", "subscription { chatroomListEvents { cursor } }", &json!({})).await;
    let message = socket.next().await.unwrap();
    assert_eq!(code_of(&message["payload"]), "UNAUTHENTICATED");
    app.stop().await;
}
