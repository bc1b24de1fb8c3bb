//! The parameters of an operation (query, variables, operation name) over HTTP and WebSocket.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::TestApp;

/// A `subscribe` message that sends a chat message of this many characters, each escaped as a surrogate pair (12 bytes).
fn subscribe_with_escaped_content(id: &str, chatroom: &str, characters: usize) -> String {
    let send = "mutation($id: ID!, $c: String!) { sendMessage(input: {chatroomId: $id, content: $c}) { reply { id } } }";
    let content = "\\ud83d\\ude00".repeat(characters);
    format!(
        r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{send}","variables":{{"id":"{chatroom}","c":"{content}"}}}}}}"#
    )
}

#[tokio::test]
async fn the_longest_message_is_accepted_with_every_character_escaped() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut socket = user.socket().await;
    socket.send_raw(Message::text(subscribe_with_escaped_content("1", &chatroom.id, 32_000))).await;
    assert!(socket.next().await.unwrap()["payload"]["data"]["sendMessage"]["reply"]["id"].is_string());
    app.wait_until_idle().await;
    let body = subscribe_with_escaped_content("1", &chatroom.id, 32_000);
    let body = body.split_once("\"payload\":").unwrap().1.strip_suffix('}').unwrap().to_owned();
    let request =
        user.http.post(app.url()).bearer_auth(&user.token).header("content-type", "application/json");
    let response: Value = request.body(body).send().await.unwrap().json().await.unwrap();
    assert!(response["data"]["sendMessage"]["reply"]["id"].is_string(), "{response}");
    app.stop().await;
}

#[tokio::test]
async fn an_oversized_operation_is_rejected_under_its_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut socket = user.socket().await;
    socket.subscribe("live", "subscription { accountEvents { usage { used } } }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "live");
    socket.send_raw(Message::text(subscribe_with_escaped_content("1", &chatroom.id, 45_000))).await;
    let rejected = socket.next().await.unwrap();
    assert_eq!((&rejected["type"], &rejected["id"]), (&json!("error"), &json!("1")));
    let extensions = &rejected["payload"][0]["extensions"];
    assert_eq!((&extensions["limit"], &extensions["max"]), (&json!("bytes of a message"), &json!(524_288)));
    socket.subscribe("2", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "2", "the socket was closed");
    app.stop().await;
}

#[tokio::test]
async fn invalid_unicode_fails_only_its_own_operation() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    socket.subscribe("live", "subscription { accountEvents { usage { used } } }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "live");
    let payload = r#"{"query":"query($a: ID!) { node(id: $a) { id } }","variables":{"a":"x\ud83d"}}"#;
    let assert_names_the_variable = |error: &Value| {
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("variables.a is not valid Unicode"), "{message}");
        assert_eq!(
            (&error["extensions"]["code"], &error["extensions"]["field"]),
            (&json!("BAD_USER_INPUT"), &json!("a"))
        );
    };
    let subscribe = format!(r#"{{"type":"subscribe","id":"1","payload":{payload}}}"#);
    socket.send_raw(Message::text(subscribe)).await;
    let rejected = socket.next().await.unwrap();
    assert_eq!((&rejected["type"], &rejected["id"]), (&json!("error"), &json!("1")));
    assert_names_the_variable(&rejected["payload"][0]);
    socket.subscribe("2", "{ __typename }", &json!({})).await;
    assert_eq!(socket.next().await.unwrap()["id"], "2", "the socket was closed");

    let post = async |body: String| {
        let request = user.http.post(app.url()).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let (status, single) = post(payload.to_owned()).await;
    assert_eq!(status, 400);
    assert_names_the_variable(&single["errors"][0]);
    let (status, batch) = post(format!(r#"[{{"query":"{{ __typename }}"}},{payload},{{"query":7}}]"#)).await;
    assert_eq!((status, &batch[0]), (200, &json!({"data": {"__typename": "Query"}})));
    assert_names_the_variable(&batch[1]["errors"][0]);
    assert_eq!(batch[2]["errors"][0]["message"], "query must be a string.");
    let url = url::Url::parse_with_params(
        &app.url(),
        [("query", "query($a: ID!) { node(id: $a) { id } }"), ("variables", r#"{"a":"\udc00"}"#)],
    );
    let got = user.http.get(url.unwrap()).send().await.unwrap();
    assert_eq!(got.status(), 400);
    assert_names_the_variable(&got.json::<Value>().await.unwrap()["errors"][0]);
    app.stop().await;
}

#[tokio::test]
async fn parameters_are_validated_alike_over_http_and_websocket() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    let hash = "7f56e67dd21ab3f30d1ff8b7bed08893f0a0db86449836189b361dd1e56ddb4b";
    let persisted = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let two_operations = "query A { __typename } query B { a: __typename }";
    for payload in [
        json!({"query": "{ __typename }", "operationName": "", "variables": null, "extensions": persisted}),
        json!({"query": null, "extensions": persisted}),
        json!({"query": "{ __typename }", "operationName": null, "extensions": null}),
        json!({"query": two_operations, "operationName": "B"}),
        json!({"query": "{ __typename }", "variables": []}),
        json!({"query": 7}),
        json!({"query": "{ __typename }", "operationName": 1}),
    ] {
        let over_http = user.post(&payload).await;
        socket.send(&json!({"type": "subscribe", "id": "1", "payload": payload})).await;
        let response = socket.next().await.unwrap();
        if over_http.get("errors").is_some() {
            assert_eq!((&response["type"], &response["payload"]), (&json!("error"), &over_http["errors"]));
        } else {
            assert_eq!(response["payload"], over_http);
            assert_eq!(socket.next().await.unwrap()["type"], "complete");
        }
    }
    app.stop().await;
}
