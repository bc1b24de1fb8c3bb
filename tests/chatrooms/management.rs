//! Creating, updating, listing and deleting chatrooms, and access to those of other users.

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, code_of};

const LIST: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    chatrooms(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor } nodes { id title } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

/// Returns the titles of a page of the list, and its page info.
async fn list(user: &TestUser, args: Value) -> (Vec<String>, Value) {
    let mut data = user.data(LIST, args).await;
    let titles = data["chatrooms"]["nodes"].as_array().unwrap().iter();
    (
        titles.map(|node| node["title"].as_str().unwrap().to_owned()).collect(),
        data["chatrooms"]["pageInfo"].take(),
    )
}

#[tokio::test]
async fn a_created_chatroom_returns_its_input() {
    let app = TestApp::with_settings(&["--gemini-models=model-a,model-b"]).await;
    let user = app.user().await;
    let chatroom = user
        .create_chatroom_with(json!({"title": "Plans", "systemInstruction": "Be brief.", "model": "model-b"}))
        .await;
    let query = "query($id: ID!) { chatroom(id: $id) { title systemInstruction model lastMessage { id } } }";
    let found = user.data(query, json!({ "id": chatroom.id })).await;
    let expected =
        json!({"title": "Plans", "systemInstruction": "Be brief.", "model": "model-b", "lastMessage": null});
    assert_eq!(found["chatroom"], expected);
    let with_defaults = user.create_chatroom_with(json!({})).await;
    let found = user.data(query, json!({ "id": with_defaults.id })).await;
    let expected =
        json!({"title": "New chat", "systemInstruction": null, "model": "model-a", "lastMessage": null});
    assert_eq!(found["chatroom"], expected);
    app.stop().await;
}

#[tokio::test]
async fn an_update_keeps_omitted_fields() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom =
        user.create_chatroom_with(json!({"title": "Plans", "systemInstruction": "Be brief."})).await;
    let query = "mutation($input: UpdateChatroomInput!) {
        updateChatroom(input: $input) { chatroom { title systemInstruction } }
    }";
    let update = async |mut input: Value| {
        input["id"] = json!(chatroom.id);
        user.data(query, json!({ "input": input })).await["updateChatroom"]["chatroom"].take()
    };
    let changed = update(json!({"title": "Trips"})).await;
    assert_eq!(changed, json!({"title": "Trips", "systemInstruction": "Be brief."}));
    let changed = update(json!({"systemInstruction": null})).await;
    assert_eq!(changed, json!({"title": "Trips", "systemInstruction": null}));
    app.stop().await;
}

#[tokio::test]
async fn values_out_of_range_are_rejected_naming_the_field() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let query =
        "mutation($input: CreateChatroomInput!) { createChatroom(input: $input) { chatroom { id } } }";
    for (field, value) in [
        ("title", String::new()),
        ("title", "x".repeat(201)),
        ("systemInstruction", "x".repeat(8001)),
        ("model", "gpt".to_owned()),
    ] {
        let response = user.execute(query, json!({"input": {field: value}})).await;
        assert_eq!(code_of(&response), "BAD_USER_INPUT");
        assert_eq!(response["errors"][0]["extensions"]["field"], field);
        assert!(response["errors"][0]["message"].as_str().unwrap().starts_with(field));
    }
    assert_eq!(list(&user, json!({})).await.0, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn the_chatroom_list_pages_forward_and_backward() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for title in ["a", "b", "c", "d", "e"] {
        user.create_chatroom(title).await;
    }
    let (titles, info) = list(&user, json!({"first": 2})).await;
    assert_eq!(titles, ["e", "d"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
    let (titles, info) = list(&user, json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!(titles, ["c", "b"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(true)));
    let second_page = info.clone();
    let (titles, info) = list(&user, json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!(titles, ["a"]);
    assert_eq!(info["hasNextPage"], false);
    let (titles, info) = list(&user, json!({"last": 2})).await;
    assert_eq!(titles, ["b", "a"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(false), &json!(true)));
    let (titles, info) = list(&user, json!({"last": 9, "before": second_page["startCursor"]})).await;
    assert_eq!(titles, ["e", "d"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
    let (titles, info) = list(&user, json!({"first": 0})).await;
    assert_eq!((titles.len(), &info["hasNextPage"]), (0, &json!(true)));
    app.stop().await;
}

#[tokio::test]
async fn invalid_page_arguments_are_rejected_naming_the_argument() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for (args, field) in [
        (json!({"first": 101}), "first"),
        (json!({"first": -1}), "first"),
        (json!({"last": 101}), "last"),
        (json!({"first": 1, "last": 1}), "last"),
        (json!({"after": "?"}), "after"),
        (json!({"before": "AAAA"}), "before"),
    ] {
        let response = user.execute(LIST, args.clone()).await;
        assert_eq!(code_of(&response), "BAD_USER_INPUT", "{args}");
        assert_eq!(response["errors"][0]["extensions"]["field"], field);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_cached_chatroom_list_reflects_every_write() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let a = user.create_chatroom("a").await;
    let b = user.create_chatroom("b").await;
    let count_list_reads =
        || app.statements.lock().unwrap().iter().filter(|sql| sql.contains("FROM chatrooms")).count();
    assert_eq!(list(&user, json!({})).await.0, ["b", "a"]);
    let before = count_list_reads();
    assert_eq!(list(&user, json!({})).await.0, ["b", "a"]);
    assert_eq!(count_list_reads(), before, "the second query is served from the cache");
    a.send("hi").await;
    assert_eq!(list(&user, json!({})).await.0, ["a", "b"], "a message moves its chatroom to the top");
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"B\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": b.id })).await;
    assert_eq!(list(&user, json!({})).await.0, ["B", "a"]);
    user.data(
        "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
        json!({ "id": a.id }),
    )
    .await;
    assert_eq!(list(&user, json!({})).await.0, ["B"]);
    user.create_chatroom("c").await;
    assert_eq!(list(&user, json!({})).await.0, ["c", "B"]);
    let reply = b.send("hi").await.reply;
    user.read(&reply).await;
    user.create_chatroom("d").await;
    assert_eq!(list(&user, json!({})).await.0, ["d", "B", "c"]);
    user.regenerate(&reply).await.unwrap();
    assert_eq!(list(&user, json!({})).await.0, ["B", "d", "c"]);
    app.stop().await;
}

const TITLES: &str = "{ chatrooms { nodes { id title updatedAt } pageInfo { hasNextPage } } }";

async fn titles(user: &TestUser) -> Vec<String> {
    let data = user.data(TITLES, json!({})).await;
    let nodes = data["chatrooms"]["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_repeated_query_of_an_unchanged_list_runs_no_statement() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    user.create_chatroom("a").await;
    let other = app.user().await;
    other.create_chatroom("b").await;
    for _ in 0..2 {
        assert_eq!((titles(&user).await, titles(&other).await), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
    app.statements.lock().unwrap().clear();
    assert_eq!((titles(&user).await, titles(&other).await), (vec!["a".to_owned()], vec!["b".to_owned()]));
    // The worker polls for jobs in the meantime.
    let statements = app.statements.lock().unwrap().clone();
    assert!(statements.iter().all(|sql| sql.contains("jobs")), "{statements:#?}");
    app.stop().await;
}

#[tokio::test]
async fn a_change_by_a_process_that_died_before_recording_it_is_listed_after_the_next_change_or_five_seconds()
{
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    user.create_chatroom("a").await;
    change_without_recording(&app, &user, "UPDATE chatrooms SET title = 'b'").await;
    user.create_chatroom("next").await;
    assert_eq!(titles(&user).await, ["next", "b"]);
    change_without_recording(&app, &user, "UPDATE chatrooms SET title = 'c' WHERE title = 'b'").await;
    app.advance(chrono::TimeDelta::seconds(5)).await;
    assert_eq!(titles(&user).await, ["next", "c"]);
    app.stop().await;
}

/// Commits what a process commits that dies before it records the new version of the list in the cache.
async fn change_without_recording(app: &TestApp, user: &TestUser, change: &str) {
    assert_eq!(titles(user).await, titles(user).await, "the list is cached");
    for statement in [change, "UPDATE users SET chatrooms_version = chatrooms_version + 1"] {
        app.chatrooms.db.write().execute_unprepared(statement).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_finds_itself_carried_out_by_a_process_that_died_before_recording_it_lists_the_change() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let create = async || {
        let create =
            "mutation { createChatroom(input: {title: \"a\", idempotencyKey: \"k\"}) { chatroom { id } } }";
        user.data(create, json!({})).await["createChatroom"]["chatroom"]["id"].clone()
    };
    let delete = "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }";
    let first = create().await;
    let second = user.create_chatroom("b").await;
    let message = json!({"content": "hi", "idempotencyKey": "m"});
    let sent = second.try_send(message.clone()).await.unwrap();
    user.read(&sent.reply).await;

    change_without_recording(&app, &user, "UPDATE chatrooms SET title = 'c' WHERE title = 'a'").await;
    assert_eq!(create().await, first);
    assert_eq!(titles(&user).await, ["b", "c"]);
    change_without_recording(&app, &user, "UPDATE chatrooms SET title = 'd' WHERE title = 'c'").await;
    second.try_send(message).await.unwrap();
    assert_eq!(titles(&user).await, ["b", "d"]);
    change_without_recording(&app, &user, "DELETE FROM chatrooms WHERE title = 'd'").await;
    assert_eq!(user.error_code(delete, json!({ "id": first })).await, "NOT_FOUND");
    assert_eq!(titles(&user).await, ["b"]);
    change_without_recording(&app, &user, "DELETE FROM chatrooms").await;
    let deleted = user.data("mutation { deleteAllChatrooms { deletedCount } }", json!({})).await;
    assert_eq!(deleted["deleteAllChatrooms"]["deletedCount"], 0);
    assert_eq!(titles(&user).await, [""; 0]);
    app.stop().await;
}

#[tokio::test]
async fn deleting_a_chatroom_deletes_its_messages_and_cancels_its_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).text("two").finish("STOP"));
    let sent = chatroom.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("One").await;
    let deleted = user
        .data(
            "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
            json!({ "id": chatroom.id }),
        )
        .await;
    assert_eq!(deleted["deleteChatroom"]["deletedId"], chatroom.id);
    assert_eq!(user.message(&sent.message).await, Value::Null);
    gate.open();
    app.stop().await;
}

#[tokio::test]
async fn objects_of_another_user_are_not_found() {
    let app = TestApp::start().await;
    let (owner, other) = (app.user().await, app.user().await);
    let chatroom = owner.create_chatroom("private").await;
    let sent = chatroom.send("secret").await;
    owner.read(&sent.reply).await;
    let unknown = "room_01h455vb4pex5vsknk084sn02q";
    for id in [chatroom.id.as_str(), unknown, "nonsense", ""] {
        let found = other.data("query($id: ID!) { chatroom(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "chatroom": null }));
        for query in [
            "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
            "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"mine\"}) { chatroom { id } } }",
            "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { message { id } } }",
        ] {
            assert_eq!(other.error_code(query, json!({ "id": id })).await, "NOT_FOUND", "{query}");
        }
    }
    for id in [&chatroom.id, &sent.message, &sent.reply, &owner.id] {
        let found = other.data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "node": null }));
        let found =
            app.anonymous().data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "node": null }));
        let found = owner.data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(&found["node"]["id"], id.as_str());
    }
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }";
    let ids = [&chatroom.id, &sent.message, &sent.reply, &owner.id];
    for viewer in [&other, &app.anonymous()] {
        let found = viewer.data(query, json!({ "ids": ids })).await;
        assert_eq!(found, json!({"nodes": [null, null, null, null]}));
    }
    for query in [
        "mutation($id: ID!) { stopReply(input: { messageId: $id }) { message { id } } }",
        "mutation($id: ID!) { regenerateReply(input: { messageId: $id }) { message { id } } }",
    ] {
        assert_eq!(other.error_code(query, json!({ "id": sent.reply })).await, "NOT_FOUND");
    }
    let mut socket = other.socket().await;
    for (query, id) in [
        ("subscription($id: ID!) { replyStream(messageId: $id) { __typename } }", &sent.reply),
        ("subscription($id: ID!) { chatroomEvents(chatroomId: $id) { cursor } }", &chatroom.id),
    ] {
        socket.subscribe("1", query, &json!({ "id": id })).await;
        let message = socket.next().await.unwrap();
        assert_eq!(message["type"], "next");
        assert_eq!(code_of(&message["payload"]), "NOT_FOUND");
        assert_eq!(socket.next().await.unwrap()["type"], "complete");
    }
    assert_eq!(chatroom.branch().await.len(), 2, "the owner's chatroom is unchanged");
    app.stop().await;
}
