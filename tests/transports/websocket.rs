//! The WebSocket, frame by frame.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Gate, Script, TestApp, code_of,
    socket::{PATIENCE, Socket},
};

const PROTOCOL: &str = "graphql-transport-ws";

async fn opened(app: &TestApp) -> Socket {
    Socket::open(app.address, PROTOCOL, &[]).await.unwrap()
}

#[tokio::test]
async fn each_breach_of_the_protocol_has_its_close_code() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let init = json!({"type": "connection_init"});
    let query = json!({"type": "subscribe", "id": "1", "payload": {"query": "{ me { id } }"}});

    let mut socket = Socket::open(app.address, "", &[]).await.unwrap();
    assert_eq!(socket.close_code().await, 4406, "no subprotocol");

    let mut socket = opened(&app).await;
    socket.send_raw(Message::text("nonsense")).await;
    assert_eq!(socket.close_code().await, 4400, "no JSON");

    let mut socket = opened(&app).await;
    socket.send_raw(Message::binary(vec![1, 2])).await;
    assert_eq!(socket.close_code().await, 4400, "a binary message");

    let mut socket = opened(&app).await;
    socket.send(&query).await;
    assert_eq!(socket.close_code().await, 4401, "an operation before the ack");

    let mut socket = opened(&app).await;
    socket.send(&json!({"type": "connection_init", "payload": {"authorization": "Bearer forged"}})).await;
    assert_eq!(socket.next().await, Err((4403, "The access token is invalid.".to_owned())));

    let mut socket = user.socket().await;
    let subscription = "subscription { accountEvents { usage { used } } }";
    for _ in 0..2 {
        socket.subscribe("1", subscription, &json!({})).await;
    }
    assert_eq!(socket.close_code().await, 4409, "an id in use");

    let mut socket = opened(&app).await;
    socket.send(&init).await;
    socket.send(&init).await;
    assert_eq!(socket.close_code().await, 4429, "a second init");

    let mut socket = opened(&app).await;
    socket.send_raw(Message::text("x".repeat(512 * 1024 + 1))).await;
    assert_eq!(socket.close_code().await, 1009, "a message over 512 KiB");

    let mut socket = opened(&app).await;
    socket.send_raw(Message::text("x".repeat(1024 * 1024 + 1))).await;
    assert_eq!(socket.close_code().await, 1009, "a message over what is read at all");
    app.stop().await;
}

#[tokio::test]
async fn a_socket_without_an_init_is_closed_after_ten_seconds() {
    let app = TestApp::start().await;
    let begun = std::time::Instant::now();
    let mut socket = opened(&app).await;
    assert_eq!(socket.next().await, Err((4408, "Connection initialisation timeout".to_owned())));
    assert!(begun.elapsed().as_secs() >= 10);
    app.stop().await;
}

#[tokio::test]
async fn a_stranger_may_connect_and_is_answered_as_one() {
    let app = TestApp::start().await;
    let mut socket = opened(&app).await;
    socket.send(&json!({"type": "connection_init"})).await;
    assert_eq!(socket.next().await.unwrap()["type"], "connection_ack");
    socket.subscribe("1", "{ me { id } }", &json!({})).await;
    let expected = json!({"type": "next", "id": "1", "payload": {"data": {"me": null}}});
    assert_eq!(socket.next().await.unwrap(), expected);
    assert_eq!(socket.next().await.unwrap(), json!({"type": "complete", "id": "1"}));
    app.stop().await;
}

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let app = TestApp::start().await;
    let mut socket = opened(&app).await;
    socket.send(&json!({"type": "ping", "payload": {"a": 1}})).await;
    assert_eq!(socket.next().await.unwrap(), json!({"type": "pong", "payload": {"a": 1}}));
    socket.send(&json!({"type": "ping"})).await;
    assert_eq!(socket.next().await.unwrap(), json!({"type": "pong"}));
    app.stop().await;
}

#[tokio::test]
async fn what_fails_before_it_runs_is_an_error_and_nothing_follows() {
    let app = TestApp::start().await;
    let mut socket = app.user().await.socket().await;
    for (query, code) in [
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
    ] {
        socket.subscribe("1", query, &json!({})).await;
        let said = socket.next().await.unwrap();
        assert_eq!((&said["type"], &said["id"]), (&json!("error"), &json!("1")));
        assert_eq!(said["payload"][0]["extensions"]["code"], code);
    }
    // The id was free each time, and nothing else was said.
    socket.subscribe("1", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["__typename"], "Query");
    app.stop().await;
}

#[tokio::test]
async fn a_completed_operation_stops_without_an_echo_and_frees_its_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("One").wait(&gate).text("Two").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut socket = user.socket().await;
    let query = "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { text } } }";
    socket.subscribe("1", query, &json!({ "id": asked.reply })).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["replyStream"]["text"], "One");
    socket.send(&json!({"type": "complete", "id": "1"})).await;
    socket.subscribe("1", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"], json!({"__typename": "Query"}));
    assert_eq!(socket.next().await.unwrap(), json!({"type": "complete", "id": "1"}));
    gate.open();
    user.read(&asked.reply).await;
    socket.send(&json!({"type": "ping"})).await;
    assert_eq!(
        socket.next().await.unwrap(),
        json!({"type": "pong"}),
        "nothing of the stopped operation came"
    );
    app.stop().await;
}

#[tokio::test]
async fn operations_of_a_socket_run_side_by_side() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("One").wait(&gate).finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let mut socket = user.socket().await;
    socket
        .subscribe(
            "slow",
            "subscription($id: ID!) { replyStream(messageId: $id) { __typename } }",
            &json!({ "id": asked.reply }),
        )
        .await;
    assert_eq!(socket.next().await.unwrap()["id"], "slow");
    socket.subscribe("quick", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "quick");
    app.gemini.answers(Script::says([]));
    gate.open();
    app.stop().await;
}

#[tokio::test]
async fn a_hundred_operations_and_no_more() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    for n in 0..100 {
        socket
            .subscribe(&n.to_string(), "subscription { accountEvents { usage { used } } }", &json!({}))
            .await;
    }
    socket.subscribe("one more", "{ __typename }", &json!({})).await;
    let refused = loop {
        let said = socket.next().await.unwrap();
        if said["type"] == "error" {
            break said;
        }
    };
    assert_eq!(refused["id"], "one more");
    assert_eq!(code_of(&json!({"errors": refused["payload"]})), "RATE_LIMITED");
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
async fn queries_by_url_are_answered_and_mutations_are_not() {
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
async fn a_mutation_runs_to_its_end_though_its_client_is_gone() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    // The room is taken, so that the mutation has begun and cannot end while its client is there.
    let busy = app.chat.db.begin().await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&busy, "UPDATE chatrooms SET version = version")
        .await
        .unwrap();
    let mut socket = user.socket().await;
    socket.subscribe("1", send, &json!({ "id": room.id })).await;
    socket.subscribe("2", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "2");
    drop(socket);
    let mut answered = user.socket().await;
    answered.subscribe("1", "{ __typename }", &json!({})).await;
    answered.next().await.unwrap();
    busy.rollback().await.unwrap();
    let sent = async { while room.path().await.len() < 2 {} };
    tokio::time::timeout(PATIENCE, sent).await.expect("the message was lost with its client");
    app.stop().await;
}

#[tokio::test]
async fn a_socket_that_does_not_read_delays_nobody() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    for _ in 0..10 {
        room.ask(&"x".repeat(32_000)).await;
    }
    let mut deaf = user.socket().await;
    let query = "query($id: ID!) { chatroom(id: $id) { messages(first: 100) { nodes { content } } } }";
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    let own = user.room("y").await;
    for n in 0..60 {
        deaf.subscribe(&format!("query {n}"), query, &json!({ "id": room.id })).await;
        if n % 10 == 9 {
            deaf.subscribe(&format!("mutation {n}"), send, &json!({ "id": own.id })).await;
        }
    }
    let other = app.user().await;
    let asked = other.room("z").await.ask("hi").await;
    assert_eq!(other.read(&asked.reply).await.text, "Yes.");
    let mut answered = 0;
    while answered < 66 {
        answered += usize::from(deaf.next().await.unwrap()["type"] == "complete");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_socket_is_to_come_back_later_while_the_database_does_not_answer() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.chat.db.clone().close().await;
    let mut socket = opened(&app).await;
    let payload = json!({"authorization": format!("Bearer {}", user.token)});
    socket.send(&json!({"type": "connection_init", "payload": payload})).await;
    assert_eq!(socket.next().await, Err((1013, "Try again later".to_owned())));
    app.end().await;
}

#[tokio::test]
async fn unread_answers_of_a_socket_wait_for_their_turn_and_delay_nobody() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let long = "x".repeat(512 * 1024);
    app.gemini.answers_by(move |_| Script::new().text(&long).finish("STOP"));
    for _ in 0..10 {
        user.read(&room.ask("hi").await.reply).await;
    }
    let mut socket = user.socket().await;
    let query = "query($id: ID!) { chatroom(id: $id) { messages(last: 20) { nodes { content } } } }";
    for n in 0..40 {
        socket.subscribe(&n.to_string(), query, &json!({ "id": room.id })).await;
    }
    // Nothing is read until others, asked later and one after the other, are answered.
    for _ in 0..3 {
        let mut other = user.socket().await;
        other.subscribe("1", query, &json!({ "id": room.id })).await;
        other.next().await.unwrap();
    }
    // Those that wait for their turn are answered in the end, too.
    let mut answered = 0;
    while answered < 40 {
        let message = socket.next().await.unwrap();
        assert!(
            message["payload"].get("errors").is_none() && message["type"] != "error",
            "{}",
            message["type"]
        );
        answered += usize::from(message["type"] == "complete");
    }
    socket.subscribe("last", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["payload"]["data"]["__typename"], "Query");
    app.stop().await;
}
