//! The WebSocket transport, message by message, and what GET on the same path does without an upgrade.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Gate, Script, TestApp, code_of,
    socket::{Socket, TEST_TIMEOUT},
};

const PROTOCOL: &str = "graphql-transport-ws";

async fn open_socket(app: &TestApp) -> Socket {
    Socket::open(app.address, PROTOCOL, &[]).await.unwrap()
}

#[tokio::test]
async fn each_protocol_violation_has_its_close_code() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let init = json!({"type": "connection_init"});
    let query = json!({"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }"}});

    let mut socket = Socket::open(app.address, "", &[]).await.unwrap();
    assert_eq!(socket.close_code().await, 4406, "no subprotocol");

    let mut socket = open_socket(&app).await;
    socket.send_raw(Message::text("nonsense")).await;
    assert_eq!(socket.close_code().await, 4400, "not JSON");

    let mut socket = open_socket(&app).await;
    socket.send_raw(Message::binary(vec![1, 2])).await;
    assert_eq!(socket.close_code().await, 4400, "a binary message");

    let mut socket = open_socket(&app).await;
    socket.send(&query).await;
    assert_eq!(socket.close_code().await, 4401, "an operation before the ack");

    let mut socket = open_socket(&app).await;
    socket.send(&json!({"type": "connection_init", "payload": {"authorization": "Bearer forged"}})).await;
    assert_eq!(socket.next().await, Err((4403, "The access token is invalid.".to_owned())));

    let mut socket = user.socket().await;
    let subscription = "subscription { accountEvents { usage { used } } }";
    for _ in 0..2 {
        socket.subscribe("1", subscription, &json!({})).await;
    }
    assert_eq!(socket.close_code().await, 4409, "an id in use");

    let mut socket = open_socket(&app).await;
    socket.send(&init).await;
    socket.send(&init).await;
    assert_eq!(socket.close_code().await, 4429, "a second init");

    let mut socket = open_socket(&app).await;
    socket.send_raw(Message::text("x".repeat(512 * 1024 + 1))).await;
    assert_eq!(socket.close_code().await, 1009, "a message over 512 KiB that starts no operation");

    let mut socket = open_socket(&app).await;
    socket.send_raw(Message::text("x".repeat(1024 * 1024 + 1))).await;
    assert_eq!(socket.close_code().await, 1009, "a message over 1 MiB, which is not even received");
    app.stop().await;
}

#[tokio::test]
async fn a_socket_without_an_init_is_closed_after_ten_seconds() {
    let app = TestApp::start().await;
    let started = std::time::Instant::now();
    let mut socket = open_socket(&app).await;
    assert_eq!(socket.next().await, Err((4408, "Connection initialisation timeout".to_owned())));
    assert!(started.elapsed().as_secs() >= 10);
    app.stop().await;
}

#[tokio::test]
async fn an_anonymous_socket_gets_anonymous_responses() {
    let app = TestApp::start().await;
    let mut socket = open_socket(&app).await;
    socket.send(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await.unwrap()["type"], "connection_ack");
    socket.subscribe("1", "{ me { id } }", &json!({})).await;
    let expected = json!({"type": "next", "id": "1", "payload": {"data": {"me": null}}});
    assert_eq!(socket.next().await.unwrap(), expected);
    assert_eq!(socket.next().await.unwrap(), json!({"type": "complete", "id": "1"}));
    app.stop().await;
}

#[tokio::test]
async fn a_pong_has_the_payload_of_its_ping() {
    let app = TestApp::start().await;
    let mut socket = open_socket(&app).await;
    socket.send(&json!({"type": "ping", "payload": {"a": 1}})).await;
    assert_eq!(socket.next().await.unwrap(), json!({"type": "pong", "payload": {"a": 1}}));
    socket.send(&json!({"type": "ping"})).await;
    assert_eq!(socket.next().await.unwrap(), json!({"type": "pong"}));
    app.stop().await;
}

#[tokio::test]
async fn an_operation_that_fails_before_execution_gets_one_error_message() {
    let app = TestApp::start().await;
    let mut socket = app.user().await.socket().await;
    for (query, code) in [
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
    ] {
        socket.subscribe("1", query, &json!({})).await;
        let message = socket.next().await.unwrap();
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")));
        assert_eq!(message["payload"][0]["extensions"]["code"], code);
    }
    // The id was free again after each error, and no other message was sent.
    socket.subscribe("1", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["__typename"], "Query");
    app.stop().await;
}

#[tokio::test]
async fn completing_an_operation_stops_it_and_frees_its_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).text("Two").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { text } } }";
    socket.subscribe("1", query, &json!({ "id": sent.reply })).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["replyStream"]["text"], "One");
    socket.send(&json!({"type": "complete", "id": "1"})).await;
    socket.subscribe("1", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"], json!({"__typename": "Query"}));
    assert_eq!(socket.next().await.unwrap(), json!({"type": "complete", "id": "1"}));
    gate.release_one();
    user.read(&sent.reply).await;
    socket.send(&json!({"type": "ping"})).await;
    assert_eq!(
        socket.next().await.unwrap(),
        json!({"type": "pong"}),
        "the stopped operation sent nothing more"
    );
    app.stop().await;
}

#[tokio::test]
async fn operations_of_one_socket_run_concurrently() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut socket = user.socket().await;
    socket
        .subscribe(
            "slow",
            "subscription($id: ID!) { replyStream(messageId: $id) { __typename } }",
            &json!({ "id": sent.reply }),
        )
        .await;
    assert_eq!(socket.next().await.unwrap()["id"], "slow");
    socket.subscribe("quick", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "quick");
    gate.release_one();
    app.stop().await;
}

#[tokio::test]
async fn the_101st_operation_of_a_socket_is_rejected() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    for n in 0..100 {
        socket
            .subscribe(&n.to_string(), "subscription { accountEvents { usage { used } } }", &json!({}))
            .await;
    }
    socket.subscribe("101st", "{ __typename }", &json!({})).await;
    let rejected = loop {
        let message = socket.next().await.unwrap();
        if message["type"] == "error" {
            break message;
        }
    };
    assert_eq!(rejected["id"], "101st");
    assert_eq!(code_of(&json!({"errors": rejected["payload"]})), "RATE_LIMITED");
    app.stop().await;
}

#[tokio::test]
async fn only_allowed_origins_open_sockets() {
    let app = TestApp::with_settings(&["--cors-origins=https://chat.example"]).await;
    let own = format!("http://{}", app.address);
    for (origin, allowed) in [
        ("https://chat.example", true),
        (own.as_str(), true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let socket = Socket::open(app.address, PROTOCOL, &[("origin", origin)]).await;
        assert_eq!(socket.is_ok(), allowed, "{origin}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_get_without_an_upgrade_executes_queries_and_rejects_mutations() {
    let app = TestApp::start().await;
    let get = async |query: &str| {
        let url = reqwest::Url::parse_with_params(&app.url(), [("query", query)]).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(get("{ __typename }").await, (200, json!({"data": {"__typename": "Query"}})));
    let (status, _) = get("mutation { logout { sessionsEnded } }").await;
    assert_eq!(status, 405);
    app.stop().await;
}

#[tokio::test]
async fn a_mutation_completes_after_its_client_disconnects() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    // This transaction locks the chatroom, so that the mutation starts but cannot end before its client disconnects.
    let lock = app.chatrooms.db.begin().await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&lock, "UPDATE chatrooms SET version = version")
        .await
        .unwrap();
    let mut socket = user.socket().await;
    socket.subscribe("1", send, &json!({ "id": chatroom.id })).await;
    socket.subscribe("2", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "2");
    drop(socket);
    // A response on another socket gives the server time to notice the disconnection.
    let mut other_socket = user.socket().await;
    other_socket.subscribe("1", "{ __typename }", &json!({})).await;
    other_socket.next().await.unwrap();
    lock.rollback().await.unwrap();
    let message_stored = async { while chatroom.branch().await.len() < 2 {} };
    tokio::time::timeout(TEST_TIMEOUT, message_stored)
        .await
        .expect("the message was lost when its client disconnected");
    app.stop().await;
}

#[tokio::test]
async fn a_socket_that_does_not_read_delays_no_other_client() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    for _ in 0..10 {
        chatroom.send(&"x".repeat(32_000)).await;
    }
    let mut unread_socket = user.socket().await;
    let query = "query($id: ID!) { chatroom(id: $id) { messages(first: 100) { nodes { content } } } }";
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    let other_chatroom = user.create_chatroom("y").await;
    for n in 0..60 {
        unread_socket.subscribe(&format!("query {n}"), query, &json!({ "id": chatroom.id })).await;
        if n % 10 == 9 {
            unread_socket
                .subscribe(&format!("mutation {n}"), send, &json!({ "id": other_chatroom.id }))
                .await;
        }
    }
    let other_user = app.user().await;
    let sent = other_user.create_chatroom("z").await.send("hi").await;
    assert_eq!(other_user.read(&sent.reply).await.text, "Yes.");
    // 60 queries and 6 mutations.
    let mut completed = 0;
    while completed < 66 {
        completed += usize::from(unread_socket.next().await.unwrap()["type"] == "complete");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_init_whose_session_cannot_be_read_closes_the_socket_with_1013() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.chatrooms.db.clone().close().await;
    let mut socket = open_socket(&app).await;
    let payload = json!({"authorization": format!("Bearer {}", user.token)});
    socket.send(&json!({"type": "connection_init", "payload": payload})).await;
    assert_eq!(socket.next().await, Err((1013, "Try again later".to_owned())));
    app.shut_down().await;
}

#[tokio::test]
async fn operations_of_a_socket_that_is_not_read_wait_and_delay_no_other_client() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let long_text = "x".repeat(512 * 1024);
    app.gemini.respond_with(move |_| Script::new().text(&long_text).finish("STOP"));
    for _ in 0..10 {
        user.read(&chatroom.send("hi").await.reply).await;
    }
    let mut socket = user.socket().await;
    let query = "query($id: ID!) { chatroom(id: $id) { messages(last: 20) { nodes { content } } } }";
    for n in 0..40 {
        socket.subscribe(&n.to_string(), query, &json!({ "id": chatroom.id })).await;
    }
    // The socket is read only after other clients, which send their queries later, have received their responses.
    for _ in 0..3 {
        let mut other_socket = user.socket().await;
        other_socket.subscribe("1", query, &json!({ "id": chatroom.id })).await;
        other_socket.next().await.unwrap();
    }
    // The operations that waited because the socket's queue was full also get their responses.
    let mut completed = 0;
    while completed < 40 {
        let message = socket.next().await.unwrap();
        assert!(
            message["payload"].get("errors").is_none() && message["type"] != "error",
            "{}",
            message["type"]
        );
        completed += usize::from(message["type"] == "complete");
    }
    socket.subscribe("last", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["__typename"], "Query");
    app.stop().await;
}
