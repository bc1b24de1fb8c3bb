//! Conformance to the GraphQL specification, over HTTP and WebSocket.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Script, TestApp, TestUser, code_of};

async fn profile(user: &TestUser) -> Value {
    user.data("{ me { email fullName } }", json!({})).await["me"].take()
}

#[tokio::test]
async fn an_omitted_variable_leaves_its_field_unchanged() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let update = "mutation($e: String, $n: String) {
        updateProfile(input: { email: $e, fullName: $n }) { user { id } } }";
    user.data(update, json!({"e": "a@example.org", "n": "A"})).await;
    user.data(update, json!({"n": "B"})).await;
    assert_eq!(profile(&user).await, json!({"email": "a@example.org", "fullName": "B"}));
    user.data(
        "mutation($i: UpdateProfileInput!) { updateProfile(input: $i) { user { id } } }",
        json!({"i": {}}),
    )
    .await;
    assert_eq!(profile(&user).await, json!({"email": "a@example.org", "fullName": "B"}));
    user.data(update, json!({ "e": null })).await;
    assert_eq!(profile(&user).await, json!({"email": null, "fullName": "B"}));
    let chatroom = user.create_chatroom_with(json!({"title": "x", "systemInstruction": "Be brief."})).await;
    let change = "mutation($id: ID!, $t: String, $s: String) {
        updateChatroom(input: { id: $id, title: $t, systemInstruction: $s }) { chatroom { title systemInstruction } } }";
    let changed =
        async |variables: Value| user.data(change, variables).await["updateChatroom"]["chatroom"].take();
    let renamed = changed(json!({"id": chatroom.id, "t": "y"})).await;
    assert_eq!(renamed, json!({"title": "y", "systemInstruction": "Be brief."}));
    let cleared = changed(json!({"id": chatroom.id, "s": null})).await;
    assert_eq!(cleared, json!({"title": "y", "systemInstruction": null}));
    let logout = "mutation($e: Boolean) { logout(input: { everywhere: $e }) { sessionsEnded } }";
    app.advance(TimeDelta::seconds(30)).await;
    let other_session = app.sign_in_as(&user.phone_number).await;
    assert_eq!(other_session.data(logout, json!({})).await, json!({"logout": {"sessionsEnded": 1}}));
    assert_eq!(
        user.error_code("{ me { id } }", json!({})).await,
        "no error",
        "by default, logout ends only the session that called it"
    );
    app.stop().await;
}

#[tokio::test]
async fn selections_are_skipped_and_merged_in_the_order_of_the_document() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let id = json!(user.id);
    for (document, expected) in [
        ("query($b: Boolean! = true) { me @include(if: $b) { id } }", json!({"me": {"id": id}})),
        ("query($b: Boolean! = true) { me @skip(if: $b) { id } }", json!({})),
        ("{ me { id @skip(if: true) } }", json!({"me": {}})),
        ("{ me { ... @include(if: false) { id } } }", json!({"me": {}})),
        ("query($chatroom: ID!) { node(id: $chatroom) { ... on Message { id } } }", json!({"node": {}})),
        ("{ node(id: \"x\") { ... on Message { id } } }", json!({"node": null})),
        (
            "query($chatroom: ID!) { node(id: $chatroom) { ... on Chatroom { title } id ... on Node { __typename } } }",
            json!({"node": {"title": "x", "id": chatroom.id, "__typename": "Chatroom"}}),
        ),
        (
            "{ me { usage { used } ...F id } } fragment F on User { usage { limit } }",
            json!({"me": {"usage": {"used": 0, "limit": 20}, "id": id}}),
        ),
        ("query A { me { id } } query B($x: ID!) { node(id: $x) { id } }", json!({"me": {"id": id}})),
    ] {
        let name = document.starts_with("query A").then_some("A");
        let request =
            json!({"query": document, "variables": {"chatroom": chatroom.id}, "operationName": name});
        let response = user.post(&request).await;
        // Compares texts, so that the order of fields must also match.
        assert_eq!(response["data"].to_string(), expected.to_string(), "{document}: {response}");
        assert_eq!(response.get("errors"), None, "{document}");
        let mut socket = user.socket().await;
        socket.send(&json!({"type": "subscribe", "id": "1", "payload": request})).await;
        let frame = socket.next().await.unwrap();
        assert_eq!(frame["payload"]["data"].to_string(), expected.to_string(), "{document}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_mutation_selected_twice_under_one_response_key_runs_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let twice = "mutation { createChatroom(input: {title: \"x\"}) { chatroom { id } } ...F }
        fragment F on Mutation { createChatroom(input: {title: \"x\"}) { chatroom { title } } }";
    let created = user.data(twice, json!({})).await;
    assert_eq!(created["createChatroom"]["chatroom"]["title"], "x");
    let chatrooms = user.data("{ chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(chatrooms["chatrooms"]["nodes"], json!([{"id": created["createChatroom"]["chatroom"]["id"]}]));
    app.stop().await;
}

#[tokio::test]
async fn a_subscription_must_have_exactly_one_root_field() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.gemini.enqueue(Script::reply(["Hello"]));
    let reply = user.create_chatroom("x").await.send("hi").await.reply;
    let mut socket = user.socket().await;
    let in_fragment = "subscription($id: ID!) { ...F }
        fragment F on Subscription { replyStream(messageId: $id) { __typename ... on ReplyDelta { text } } }";
    socket.subscribe("1", in_fragment, &json!({ "id": reply })).await;
    let delta = json!({"replyStream": {"__typename": "ReplyDelta", "text": "Hello"}});
    assert_eq!(socket.next().await.unwrap()["payload"]["data"], delta);
    let completed = json!({"replyStream": {"__typename": "ReplyCompleted"}});
    assert_eq!(socket.next().await.unwrap()["payload"]["data"], completed);
    assert_eq!(socket.next().await.unwrap()["type"], "complete");
    for document in [
        "subscription { accountEvents { usage { used } } more: accountEvents { usage { used } } }",
        "subscription { accountEvents { usage { used } } ...F }
            fragment F on Subscription { more: accountEvents { usage { used } } }",
        "subscription { accountEvents @skip(if: true) { usage { used } } }",
        "subscription { __typename }",
    ] {
        socket.subscribe("2", document, &json!({})).await;
        let rejected = socket.next().await.unwrap();
        assert_eq!(rejected["type"], "error", "{document}");
        assert_eq!(rejected["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{document}");
    }
    app.stop().await;
}

#[tokio::test]
async fn string_literals_in_documents_are_unescaped() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for (literal, title) in
        [(r#""\uD83D\uDE00""#, "😀"), (r#""\u{1F600}""#, "😀"), (r#""""x \""" y""""#, "x \"\"\" y")]
    {
        let document =
            format!("mutation {{ createChatroom(input: {{title: {literal}}}) {{ chatroom {{ title }} }} }}");
        assert_eq!(user.data(&document, json!({})).await["createChatroom"]["chatroom"]["title"], title);
    }
    app.stop().await;
}

#[tokio::test]
async fn invalid_inputs_are_rejected_before_execution() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let create = "mutation($i: CreateChatroomInput!) { createChatroom(input: $i) { chatroom { id } } }";
    for (document, variables, code, field) in [
        (create, json!({"i": {"title": 1}}), "BAD_USER_INPUT", json!("i.title")),
        (create, json!({"i": {"titel": "x"}}), "BAD_USER_INPUT", json!("i.titel")),
        (create, json!({"i": null}), "BAD_USER_INPUT", json!("i")),
        (create, json!({}), "BAD_USER_INPUT", json!("i")),
        (
            "mutation($b: Boolean!) { createChatroom(input: {}) { chatroom { id @skip(if: $b) } } }",
            json!({}),
            "BAD_USER_INPUT",
            json!("b"),
        ),
        (
            "mutation { createChatroom(input: {title: \"a\", title: \"b\"}) { chatroom { id } } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
            json!(null),
        ),
        (
            "mutation { createChatroom(input: {}) { chatroom { id: title id } } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
            json!(null),
        ),
    ] {
        let rejected = user.execute(document, variables).await;
        assert_eq!(code_of(&rejected), code, "{rejected}");
        assert_eq!(rejected["errors"][0]["extensions"]["field"], field, "{rejected}");
        assert_eq!(rejected.get("data"), None, "{rejected}");
    }
    let chatrooms = user.data("{ chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(chatrooms["chatrooms"]["nodes"], json!([]));
    app.stop().await;
}
