//! Sharing a chatroom by link.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestApp, TestUser, chatroom_copy::ChatroomCopy, code_of, user::TestChatroom,
};

const SHARE: &str = "mutation($input: ShareChatroomInput!) {
    shareChatroom(input: $input) { share { id url token createdAt expiresAt } }
}";
const SHARED: &str = "query($token: String!, $first: Int, $after: String) { sharedChatroom(token: $token) {
    title messages(first: $first, after: $after) { nodes { role content model } pageInfo { hasNextPage endCursor } }
} }";
const REVOKE: &str = "mutation($id: ID!) { revokeShare(input: { id: $id }) { revokedId } }";

async fn try_share(chatroom: &TestChatroom, mut input: Value) -> Value {
    input["chatroomId"] = json!(chatroom.id);
    chatroom.user.execute(SHARE, json!({ "input": input })).await
}

async fn create_share(chatroom: &TestChatroom) -> Value {
    try_share(chatroom, json!({})).await["data"]["shareChatroom"]["share"].take()
}

async fn read_shared(visitor: &TestUser, token: &Value) -> Value {
    visitor.data(SHARED, json!({ "token": token })).await["sharedChatroom"].take()
}

fn texts(shared: &Value) -> Vec<&str> {
    let nodes = shared["messages"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_anonymous_visitor_sees_the_branch_as_it_was_when_shared_and_nothing_else() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("Plans").await;
    let one = chatroom.send("one").await;
    user.read(&one.reply).await;
    let edited = user.edit(&one.message, "first").await.unwrap();
    user.read(&edited.reply).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("not yet").wait(&gate).finish("STOP"));
    let two = chatroom.send("two").await;
    user.follow(&two.reply, None).await.read_until("not yet").await;
    let link = create_share(&chatroom).await;
    gate.release_one();
    user.read(&two.reply).await;
    // Visitors do not see these later changes.
    user.edit(&one.message, "changed").await.unwrap();
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"z\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": chatroom.id })).await;
    app.wait_until_idle().await;
    let visitor = app.anonymous();
    let seen = read_shared(&visitor, &link["token"]).await;
    assert_eq!(seen["title"], "Plans");
    assert_eq!(texts(&seen), ["first", "Yes.", "two"]);
    assert_eq!(seen["messages"]["nodes"][1]["model"], "model-a-001");
    let page = json!({"token": link["token"], "first": 2});
    let page = visitor.data(SHARED, page).await["sharedChatroom"]["messages"].take();
    assert_eq!(
        (page["nodes"].as_array().unwrap().len(), &page["pageInfo"]["hasNextPage"]),
        (2, &json!(true))
    );
    let rest = json!({"token": link["token"], "after": page["pageInfo"]["endCursor"]});
    assert_eq!(texts(&visitor.data(SHARED, rest).await["sharedChatroom"]), ["two"]);
    let last = "query($token: String!, $before: String) { sharedChatroom(token: $token) {
        messages(last: 1, before: $before) { nodes { content } } } }";
    let before = json!({"token": link["token"], "before": page["pageInfo"]["endCursor"]});
    assert_eq!(texts(&visitor.data(last, before).await["sharedChatroom"]), ["first"]);
    for id in [&chatroom.id, &one.message] {
        let node = visitor.data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
        assert_eq!(node["node"], Value::Null);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_link_ends_when_it_is_revoked_or_expires_or_its_chatroom_or_account_is_deleted() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let other = app.user().await;
    let visitor = app.anonymous();
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    let revoked = create_share(&chatroom).await;
    assert_eq!(copy.apply_next().await, "ChatroomUpdated");
    assert_eq!(texts(&read_shared(&visitor, &revoked["token"]).await), ["hi", "Yes."]);
    assert_eq!(other.error_code(REVOKE, json!({ "id": revoked["id"] })).await, "NOT_FOUND");
    user.data(REVOKE, json!({ "id": revoked["id"] })).await;
    assert_eq!(copy.apply_next().await, "ChatroomUpdated");
    assert_eq!(read_shared(&visitor, &revoked["token"]).await, Value::Null);
    assert_eq!(user.error_code(REVOKE, json!({ "id": revoked["id"] })).await, "NOT_FOUND");

    let expiry = app.clock.now() + TimeDelta::minutes(5);
    let mut expiring = try_share(&chatroom, json!({ "expiresAt": expiry })).await;
    let expiring = expiring["data"]["shareChatroom"]["share"].take();
    let lasting = create_share(&chatroom).await;
    let listed = async || {
        let query = "query($id: ID!) { chatroom(id: $id) { shares { id url token } } }";
        let found = user.data(query, json!({ "id": chatroom.id })).await;
        found["chatroom"]["shares"].as_array().unwrap().clone()
    };
    assert_eq!(listed().await.len(), 2);
    assert_eq!(listed().await[1]["token"], lasting["token"]);
    assert_eq!(listed().await[1]["url"], format!("/share/{}", lasting["token"].as_str().unwrap()));
    assert_eq!(texts(&read_shared(&visitor, &expiring["token"]).await), ["hi", "Yes."]);
    app.advance(TimeDelta::minutes(5)).await;
    assert_eq!(read_shared(&visitor, &expiring["token"]).await, Value::Null);
    assert_eq!(listed().await.len(), 1);

    let second = user.create_chatroom("y").await;
    let of_deleted_chatroom = create_share(&second).await;
    user.data(
        "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
        json!({ "id": second.id }),
    )
    .await;
    assert_eq!(read_shared(&visitor, &of_deleted_chatroom["token"]).await, Value::Null);
    assert_eq!(texts(&read_shared(&visitor, &lasting["token"]).await), ["hi", "Yes."]);
    user.data("mutation { deleteAccount { deletedId } }", json!({})).await;
    assert_eq!(read_shared(&visitor, &lasting["token"]).await, Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn a_guessed_token_shows_nothing_and_reads_are_limited_per_address() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let link = create_share(&chatroom).await;
    let token = link["token"].as_str().unwrap();
    let mut forged = token.to_owned();
    // Changes one character of the signature, which follows the share's id.
    forged.replace_range(30..31, if &token[30..31] == "x" { "y" } else { "x" });
    let visitor = app.anonymous();
    for guess in ["", "x", link["id"].as_str().unwrap(), &forged, &format!("{token}A"), &token[..22]] {
        assert_eq!(read_shared(&visitor, &json!(guess)).await, Value::Null, "{guess}");
    }
    let reads = join_all((0..130).map(|_| visitor.execute(SHARED, json!({ "token": token })))).await;
    let limited = reads.iter().filter(|read| code_of(read) == "RATE_LIMITED").count();
    // An address may read shares 120 times a minute, and the six guesses were reads.
    assert_eq!(limited, 130 - (120 - 6));
    app.advance(TimeDelta::minutes(1)).await;
    assert_eq!(read_shared(&visitor, &link["token"]).await["title"], "x");
    app.stop().await;
}

#[tokio::test]
async fn invalid_shares_are_rejected_and_a_repeated_share_returns_the_first_one() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let chatroom = user.create_chatroom("x").await;
    let past = try_share(&chatroom, json!({"expiresAt": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(past["errors"][0]["extensions"]["field"], "expiresAt");
    let foreign = TestChatroom { user: other, id: chatroom.id.clone() };
    assert_eq!(code_of(&try_share(&foreign, json!({})).await), "NOT_FOUND");
    let keyed = json!({"idempotencyKey": "k"});
    let shares = join_all((0..5).map(|_| try_share(&chatroom, keyed.clone()))).await;
    assert!(shares.iter().all(|share| *share == shares[0] && code_of(share) == "no error"), "{shares:?}");
    // A chatroom has at most 50 shares.
    for _ in 1..50 {
        assert_eq!(code_of(&try_share(&chatroom, json!({})).await), "no error");
    }
    assert_eq!(code_of(&try_share(&chatroom, json!({})).await), "CONFLICT");
    app.stop().await;
}

#[tokio::test]
async fn the_page_of_a_share_must_not_be_indexed_by_search_engines() {
    let app = TestApp::start().await;
    let get = async |path: &str| {
        let request = app.anonymous().http.get(format!("http://{}{path}", app.address));
        request.header("accept", "text/html").send().await.unwrap()
    };
    assert_eq!(get("/share/abc").await.headers()["x-robots-tag"], "noindex, nofollow");
    assert!(get("/").await.headers().get("x-robots-tag").is_none());
    app.stop().await;
}
