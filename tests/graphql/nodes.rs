//! Objects by their ids (`nodes`), the user in payloads and events, and the reported cost of an operation.

use serde_json::{Value, json};

use crate::support::{TestApp, code_of};

const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
    ... on Chatroom { title } ... on Message { content } ... on Session { current } ... on User { phoneNumber }
} }";

#[tokio::test]
async fn nodes_returns_objects_of_every_type_in_the_order_of_the_requested_ids() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("Stars").await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    let sessions = user.data("{ sessions { id } }", json!({})).await;
    let session = &sessions["sessions"][0]["id"];
    let ids = json!([
        sent.reply,
        session,
        "room_01h455vb4pex5vsknk084sn02q",
        chatroom.id,
        user.id,
        "nonsense",
        sent.message,
        chatroom.id
    ]);
    let found = user.data(NODES, json!({ "ids": ids })).await;
    let chatroom = json!({"__typename": "Chatroom", "id": chatroom.id, "title": "Stars"});
    let expected = json!([
        {"__typename": "Message", "id": sent.reply, "content": "Yes."},
        {"__typename": "Session", "id": session, "current": true},
        null,
        chatroom,
        {"__typename": "User", "id": user.id, "phoneNumber": user.phone_number},
        null,
        {"__typename": "Message", "id": sent.message, "content": "hi"},
        chatroom,
    ]);
    assert_eq!(found["nodes"], expected);
    app.stop().await;
}

#[tokio::test]
async fn nodes_reads_all_objects_of_a_type_at_once_and_limits_the_number_of_ids() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(user.create_chatroom(&number.to_string()).await.id);
    }
    app.statements.lock().unwrap().clear();
    let found = user.data(NODES, json!({ "ids": ids })).await;
    let titles: Vec<&Value> = found["nodes"].as_array().unwrap().iter().map(|node| &node["title"]).collect();
    assert_eq!(
        titles,
        (0..10).map(|number| json!(number.to_string())).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    let reads = app.statements.lock().unwrap().iter().filter(|sql| sql.contains("\"chatrooms\"")).count();
    assert_eq!(reads, 1);
    let rejected = user.execute(NODES, json!({ "ids": vec![&ids[0]; 101] })).await;
    assert_eq!(code_of(&rejected), "BAD_USER_INPUT");
    assert_eq!(rejected["errors"][0]["message"], "ids must have at most 100 items; got 101.");
    assert_eq!(
        user.data(NODES, json!({ "ids": vec![&ids[0]; 100] })).await["nodes"].as_array().unwrap().len(),
        100
    );
    assert_eq!(user.data(NODES, json!({"ids": []})).await, json!({"nodes": []}));
    app.stop().await;
}

#[tokio::test]
async fn payloads_and_events_contain_the_user_for_the_caches_of_clients() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut socket = user.socket().await;
    let events = "subscription { accountEvents { user { id usage { used } subscription { tier } } } }";
    socket.subscribe("account", events, &json!({})).await;
    let account =
        |used: i32| json!({"id": user.id, "usage": {"used": used}, "subscription": {"tier": "BASIC"}});
    let event = |message: Value| message["payload"]["data"]["accountEvents"]["user"].clone();
    assert_eq!(event(socket.next().await.unwrap()), account(0));
    let send =
        "mutation($input: SendMessageInput!) { sendMessage(input: $input) { user { id usage { used } } } }";
    let sent = user.data(send, json!({"input": {"chatroomId": chatroom.id, "content": "hi"}})).await;
    assert_eq!(sent["sendMessage"]["user"], json!({"id": user.id, "usage": {"used": 1}}));
    assert_eq!(event(socket.next().await.unwrap()), account(1));
    app.stop().await;
}

#[tokio::test]
async fn the_cost_of_an_operation_is_reported_on_request() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let query = "{ chatrooms(first: 10) { nodes { id title } } }";
    for _ in 0..2 {
        let response = user.post(&json!({"query": query, "extensions": {"cost": true}})).await;
        assert_eq!(response["data"]["chatrooms"]["nodes"], json!([]));
        // 1 for the list, and 3 for each of ten items: the item and its two fields.
        assert_eq!(response["extensions"], json!({"cost": {"complexity": 31, "max": 2000}}));
        // The server caches responses to this query. A cached response must not contain the cost.
        assert_eq!(user.post(&json!({ "query": query })).await.get("extensions"), None);
    }
    let complex = "{ chatrooms(first: 100) { nodes { messages(first: 100) { nodes { id } } } } }";
    let rejected = user.execute(complex, json!({})).await;
    let extensions = &rejected["errors"][0]["extensions"];
    assert_eq!((&extensions["limit"], &extensions["max"]), (&json!("complexity"), &json!(2000)));
    assert!(extensions["count"].as_u64().unwrap() > 20_000, "{rejected}");
    app.stop().await;
}
