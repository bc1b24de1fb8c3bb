//! Rooms: made, changed, listed, found, and nobody else's.

use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, code_of};

const LIST: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    chatrooms(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor } nodes { id title } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

async fn list(user: &TestUser, args: Value) -> (Vec<String>, Value) {
    let mut data = user.data(LIST, args).await;
    let titles = data["chatrooms"]["nodes"].as_array().unwrap().iter();
    (
        titles.map(|node| node["title"].as_str().unwrap().to_owned()).collect(),
        data["chatrooms"]["pageInfo"].take(),
    )
}

#[tokio::test]
async fn a_room_has_what_it_was_given() {
    let app = TestApp::with_settings(&["--gemini-models=model-a,model-b"]).await;
    let user = app.user().await;
    let room =
        user.room_with(json!({"title": "Plans", "systemInstruction": "Be brief.", "model": "model-b"})).await;
    let query = "query($id: ID!) { chatroom(id: $id) { title systemInstruction model lastMessage { id } } }";
    let found = user.data(query, json!({ "id": room.id })).await;
    let expected =
        json!({"title": "Plans", "systemInstruction": "Be brief.", "model": "model-b", "lastMessage": null});
    assert_eq!(found["chatroom"], expected);
    let plain = user.room_with(json!({})).await;
    let found = user.data(query, json!({ "id": plain.id })).await;
    let expected =
        json!({"title": "New chat", "systemInstruction": null, "model": "model-a", "lastMessage": null});
    assert_eq!(found["chatroom"], expected);
    app.stop().await;
}

#[tokio::test]
async fn a_change_leaves_out_what_it_does_not_name() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room_with(json!({"title": "Plans", "systemInstruction": "Be brief."})).await;
    let query = "mutation($input: UpdateChatroomInput!) {
        updateChatroom(input: $input) { chatroom { title systemInstruction } }
    }";
    let update = async |mut input: Value| {
        input["id"] = json!(room.id);
        user.data(query, json!({ "input": input })).await["updateChatroom"]["chatroom"].take()
    };
    let changed = update(json!({"title": "Trips"})).await;
    assert_eq!(changed, json!({"title": "Trips", "systemInstruction": "Be brief."}));
    let changed = update(json!({"systemInstruction": null})).await;
    assert_eq!(changed, json!({"title": "Trips", "systemInstruction": null}));
    app.stop().await;
}

#[tokio::test]
async fn values_out_of_their_limits_are_refused_by_name() {
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
        let response = user.ask_api(query, json!({"input": {field: value}})).await;
        assert_eq!(code_of(&response), "BAD_USER_INPUT");
        assert_eq!(response["errors"][0]["extensions"]["field"], field);
        assert!(response["errors"][0]["message"].as_str().unwrap().starts_with(field));
    }
    assert_eq!(list(&user, json!({})).await.0, Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn the_list_is_paged_from_both_ends() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for title in ["a", "b", "c", "d", "e"] {
        user.room(title).await;
    }
    let (titles, info) = list(&user, json!({"first": 2})).await;
    assert_eq!(titles, ["e", "d"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
    let (titles, info) = list(&user, json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!(titles, ["c", "b"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(true)));
    let middle = info.clone();
    let (titles, info) = list(&user, json!({"first": 2, "after": info["endCursor"]})).await;
    assert_eq!(titles, ["a"]);
    assert_eq!(info["hasNextPage"], false);
    let (titles, info) = list(&user, json!({"last": 2})).await;
    assert_eq!(titles, ["b", "a"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(false), &json!(true)));
    let (titles, info) = list(&user, json!({"last": 9, "before": middle["startCursor"]})).await;
    assert_eq!(titles, ["e", "d"]);
    assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
    let (titles, info) = list(&user, json!({"first": 0})).await;
    assert_eq!((titles.len(), &info["hasNextPage"]), (0, &json!(true)));
    app.stop().await;
}

#[tokio::test]
async fn a_page_that_makes_no_sense_is_refused_by_name() {
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
        let response = user.ask_api(LIST, args.clone()).await;
        assert_eq!(code_of(&response), "BAD_USER_INPUT", "{args}");
        assert_eq!(response["errors"][0]["extensions"]["field"], field);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_list_is_cached_and_never_older_than_a_write() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let a = user.room("a").await;
    let b = user.room("b").await;
    let queries =
        || app.statements.lock().unwrap().iter().filter(|sql| sql.contains("FROM chatrooms")).count();
    assert_eq!(list(&user, json!({})).await.0, ["b", "a"]);
    let before = queries();
    assert_eq!(list(&user, json!({})).await.0, ["b", "a"]);
    assert_eq!(queries(), before, "the second time comes from the cache");
    a.ask("hi").await;
    assert_eq!(list(&user, json!({})).await.0, ["a", "b"], "a message moves its room to the top");
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"B\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": b.id })).await;
    assert_eq!(list(&user, json!({})).await.0, ["B", "a"]);
    user.data("mutation($id: ID!) { deleteChatroom(id: $id) { deletedId } }", json!({ "id": a.id })).await;
    assert_eq!(list(&user, json!({})).await.0, ["B"]);
    user.room("c").await;
    assert_eq!(list(&user, json!({})).await.0, ["c", "B"]);
    app.stop().await;
}

#[tokio::test]
async fn a_deleted_room_takes_its_messages_and_ends_its_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("One").wait(&gate).text("two").finish("STOP"));
    let asked = room.ask("hi").await;
    user.follow(&asked.reply, None).await.until("One").await;
    let deleted = user
        .data("mutation($id: ID!) { deleteChatroom(id: $id) { deletedId } }", json!({ "id": room.id }))
        .await;
    assert_eq!(deleted["deleteChatroom"]["deletedId"], room.id);
    assert_eq!(user.message(&asked.message).await, Value::Null);
    gate.open_wide();
    app.stop().await;
}

#[tokio::test]
async fn nobody_reaches_another_users_things() {
    let app = TestApp::start().await;
    let (owner, other) = (app.user().await, app.user().await);
    let room = owner.room("private").await;
    let asked = room.ask("secret").await;
    owner.read(&asked.reply).await;
    let unknown = "room_01h455vb4pex5vsknk084sn02q";
    for id in [room.id.as_str(), unknown, "nonsense", ""] {
        let found = other.data("query($id: ID!) { chatroom(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "chatroom": null }));
        for query in [
            "mutation($id: ID!) { deleteChatroom(id: $id) { deletedId } }",
            "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"mine\"}) { chatroom { id } } }",
            "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { message { id } } }",
        ] {
            assert_eq!(other.refusal(query, json!({ "id": id })).await, "NOT_FOUND", "{query}");
        }
    }
    for id in [&room.id, &asked.message, &asked.reply, &owner.id] {
        let found = other.data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "node": null }));
        let found =
            app.stranger().data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(found, json!({ "node": null }));
        let found = owner.data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(&found["node"]["id"], id.as_str());
    }
    for query in [
        "mutation($id: ID!) { stopReply(messageId: $id) { message { id } } }",
        "mutation($id: ID!) { regenerateReply(messageId: $id) { message { id } } }",
    ] {
        assert_eq!(other.refusal(query, json!({ "id": asked.reply })).await, "NOT_FOUND");
    }
    let mut socket = other.socket().await;
    for (query, id) in [
        ("subscription($id: ID!) { replyStream(messageId: $id) { __typename } }", &asked.reply),
        ("subscription($id: ID!) { chatroomEvents(chatroomId: $id) { cursor } }", &room.id),
    ] {
        socket.subscribe("1", query, &json!({ "id": id })).await;
        let said = socket.next().await.unwrap();
        assert_eq!(said["type"], "next");
        assert_eq!(code_of(&said["payload"]), "NOT_FOUND");
        assert_eq!(socket.next().await.unwrap()["type"], "complete");
    }
    assert_eq!(room.path().await.len(), 2, "nothing has changed for the owner");
    app.stop().await;
}
