//! Pinned, archived and temporary chatrooms, feedback, and deleting all chatrooms.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestApp, TestUser, chatroom_copy::ChatroomCopy, code_of, user::TestChatroom,
};

const LIST: &str = "query($archived: Boolean, $first: Int, $after: String, $last: Int, $before: String) {
    chatrooms(archived: $archived, first: $first, after: $after, last: $last, before: $before) {
        nodes { title pinnedAt archivedAt isTemporary } pageInfo { hasNextPage startCursor endCursor } totalCount
    }
}";

/// Returns the titles of a page, and its page info together with the total count.
async fn page(user: &TestUser, args: Value) -> (Vec<String>, Value) {
    let mut data = user.data(LIST, args).await;
    let nodes = data["chatrooms"]["nodes"].as_array().unwrap().iter();
    let titles = nodes.map(|node| node["title"].as_str().unwrap().to_owned()).collect();
    let mut page_info = data["chatrooms"]["pageInfo"].take();
    page_info["totalCount"] = data["chatrooms"]["totalCount"].take();
    (titles, page_info)
}

async fn titles(user: &TestUser, archived: bool) -> Vec<String> {
    let (titles, page_info) = page(user, json!({ "archived": archived })).await;
    assert_eq!(page_info["totalCount"], titles.len());
    titles
}

async fn try_update(chatroom: &TestChatroom, mut input: Value) -> Value {
    input["id"] = json!(chatroom.id);
    let query = "mutation($input: UpdateChatroomInput!) {
        updateChatroom(input: $input) { chatroom { pinnedAt archivedAt updatedAt } }
    }";
    chatroom.user.execute(query, json!({ "input": input })).await
}

async fn update(chatroom: &TestChatroom, input: Value) -> Value {
    try_update(chatroom, input).await["data"]["updateChatroom"]["chatroom"].take()
}

#[tokio::test]
async fn pinned_chatrooms_come_first_and_archived_ones_have_their_own_list() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let mut chatrooms = Vec::new();
    for title in ["a", "b", "c", "d"] {
        app.advance(TimeDelta::seconds(1)).await;
        chatrooms.push(user.create_chatroom(title).await);
    }
    let created_at = app.clock.now();
    app.advance(TimeDelta::seconds(1)).await;
    assert_eq!(titles(&user, false).await, ["d", "c", "b", "a"]);
    let pinned = update(&chatrooms[0], json!({"pinned": true})).await;
    assert_eq!(pinned["pinnedAt"], "2026-11-21T12:00:05+00:00");
    assert_eq!(pinned["archivedAt"], Value::Null);
    assert_eq!(titles(&user, false).await, ["a", "d", "c", "b"]);
    let archived = update(&chatrooms[3], json!({"archived": true})).await;
    assert_eq!(archived["archivedAt"], "2026-11-21T12:00:05+00:00");
    let updated_at: chrono::DateTime<chrono::Utc> = archived["updatedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(updated_at, created_at, "pinning and archiving do not change updatedAt");
    assert_eq!(
        (titles(&user, false).await, titles(&user, true).await),
        (split_titles("a c b"), split_titles("d"))
    );
    // Pinning takes a chatroom out of the archive, archiving removes the pin.
    update(&chatrooms[3], json!({"pinned": true})).await;
    assert_eq!(
        (titles(&user, false).await, titles(&user, true).await),
        (split_titles("d a c b"), split_titles(""))
    );
    assert_eq!(update(&chatrooms[0], json!({"archived": true})).await["pinnedAt"], Value::Null);
    assert_eq!(
        (titles(&user, false).await, titles(&user, true).await),
        (split_titles("d c b"), split_titles("a"))
    );
    update(&chatrooms[0], json!({"archived": false})).await;
    update(&chatrooms[3], json!({"pinned": false})).await;
    assert_eq!(
        (titles(&user, false).await, titles(&user, true).await),
        (split_titles("d c b a"), split_titles(""))
    );
    let rejected = try_update(&chatrooms[0], json!({"pinned": true, "archived": true})).await;
    assert_eq!(code_of(&rejected), "BAD_USER_INPUT");
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "pinned");
    app.stop().await;
}

/// Splits titles that are separated by spaces.
fn split_titles(titles: &str) -> Vec<String> {
    titles.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn pages_continue_from_pinned_to_other_chatrooms_in_both_directions() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for title in ["a", "b", "c", "d", "e", "f"] {
        let chatroom = user.create_chatroom(title).await;
        match title {
            "b" | "d" => update(&chatroom, json!({"pinned": true})).await,
            "c" => update(&chatroom, json!({"archived": true})).await,
            _ => Value::Null,
        };
    }
    let all = split_titles("d b f e a");
    assert_eq!(titles(&user, false).await, all);
    let (mut forward, mut after) = (Vec::new(), Value::Null);
    let (mut backward, mut before) = (Vec::new(), Value::Null);
    for _ in 0..5 {
        let (title, info) = page(&user, json!({"first": 1, "after": after})).await;
        forward.extend(title);
        after = info["endCursor"].clone();
        let (title, info) = page(&user, json!({"last": 1, "before": before})).await;
        backward.extend(title);
        before = info["startCursor"].clone();
    }
    backward.reverse();
    assert_eq!((&forward, &backward), (&all, &all));
    app.stop().await;
}

#[tokio::test]
async fn a_temporary_chatroom_is_deleted_24_hours_after_its_last_message() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let kept = user.create_chatroom("kept").await;
    let temporary = user.create_chatroom_with(json!({"title": "temporary", "temporary": true})).await;
    let query = "query($id: ID!) { chatroom(id: $id) { isTemporary } }";
    for (chatroom, expected) in [(&kept, false), (&temporary, true)] {
        let found = user.data(query, json!({ "id": chatroom.id })).await;
        assert_eq!(found["chatroom"]["isTemporary"], expected);
    }
    app.advance(TimeDelta::minutes(10)).await;
    let sent = temporary.send("hi").await;
    user.read(&sent.reply).await;
    assert_eq!(titles(&user, false).await, ["temporary", "kept"]);
    let mut copy = ChatroomCopy::read(&user, &temporary.id).await;
    // The event shows that the server has accepted the subscription.
    update(&temporary, json!({"title": "temporary"})).await;
    copy.apply_next().await;
    // The access token expires as well, so the user gets a new one below.
    app.advance(TimeDelta::hours(24)).await;
    assert_eq!(app.chatrooms.delete_expired_chatrooms().await.unwrap(), 0);
    app.advance(TimeDelta::seconds(1)).await;
    assert_eq!(app.chatrooms.delete_expired_chatrooms().await.unwrap(), 1);
    while copy.chatroom.is_some() {
        copy.apply_next().await;
    }
    let user = user.sign_in_as(&user.phone_number).await;
    assert_eq!(titles(&user, false).await, ["kept"]);
    app.stop().await;
}

#[tokio::test]
async fn deleting_all_chatrooms_ends_their_replies_and_keeps_chatrooms_of_other_users() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    other.create_chatroom("other").await;
    for number in 0..25 {
        let chatroom = user.create_chatroom(&number.to_string()).await;
        if number % 2 == 0 {
            update(&chatroom, json!({"archived": true})).await;
        }
    }
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).text("two").finish("STOP"));
    let chatroom = user.create_chatroom("busy").await;
    let sent = chatroom.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("One").await;
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    // The event shows that the server has accepted the subscription.
    copy.apply_next().await;
    let deleted = user.data("mutation { deleteAllChatrooms { deletedCount } }", json!({})).await;
    assert_eq!(deleted["deleteAllChatrooms"]["deletedCount"], 26);
    while copy.chatroom.is_some() {
        copy.apply_next().await;
    }
    assert_eq!((titles(&user, false).await, titles(&user, true).await), (split_titles(""), split_titles("")));
    assert_eq!(titles(&other, false).await, ["other"]);
    gate.open();
    app.stop().await;
}

#[tokio::test]
async fn feedback_on_a_reply_reaches_every_device_and_can_be_removed() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One").wait(&gate).text("two").finish("STOP"));
    let sent = chatroom.send("hi").await;
    let query = "mutation($id: ID!, $feedback: Feedback) {
        rateReply(input: { messageId: $id, feedback: $feedback }) { message { feedback } }
    }";
    let rate = async |user: &TestUser, id: &str, feedback: Value| {
        user.execute(query, json!({"id": id, "feedback": feedback})).await
    };
    assert_eq!(code_of(&rate(&user, &sent.reply, json!("UP")).await), "CONFLICT");
    gate.release_one();
    user.read(&sent.reply).await;
    let mut copy = ChatroomCopy::read(&user, &chatroom.id).await;
    for feedback in [json!("UP"), json!("DOWN"), Value::Null] {
        let rated = rate(&user, &sent.reply, feedback.clone()).await;
        assert_eq!(rated["data"]["rateReply"]["message"]["feedback"], feedback);
        copy.catch_up().await;
        assert_eq!(copy.branch()[1]["feedback"], feedback);
    }
    assert_eq!(code_of(&rate(&user, &sent.message, json!("UP")).await), "BAD_USER_INPUT");
    assert_eq!(code_of(&rate(&other, &sent.reply, json!("UP")).await), "NOT_FOUND");
    app.stop().await;
}
