//! `chatroomEvents` and `accountEvents` on several devices.

use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, socket::Socket, user::TestChatroom};

pub(super) const EVENTS: &str =
    "subscription($id: ID!, $after: String) { chatroomEvents(chatroomId: $id, after: $after) {
    cursor change {
        __typename
        ... on MessageAdded { message { id content status cursor } }
        ... on MessageChanged { message { id content status cursor } }
        ... on ReplyDelta { text cursor }
        ... on ReplyCompleted { message { id content } }
        ... on ChatroomUpdated { chatroom { title } }
        ... on ChatroomDeleted { deletedId }
    }
} }";

/// A subscription to the events of a chatroom.
pub(super) struct Events {
    socket: Socket,
    /// The cursor of the last received event.
    cursor: String,
}

impl Events {
    pub(super) async fn subscribe(user: &TestUser, chatroom: &str, after: Option<&str>) -> Self {
        let mut socket = user.socket().await;
        socket.subscribe("chatroom", EVENTS, &json!({"id": chatroom, "after": after})).await;
        Self { socket, cursor: String::new() }
    }

    /// Returns the change of the next event, or `None` if the subscription has completed.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let mut message = self.socket.next().await.unwrap();
        if message["type"] == "complete" {
            return None;
        }
        let mut event = message["payload"]["data"]["chatroomEvents"].take();
        assert!(event.is_object(), "{message}");
        event["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        Some(event["change"].take())
    }

    pub(super) async fn next_kind(&mut self) -> String {
        self.next().await.unwrap()["__typename"].as_str().unwrap().to_owned()
    }
}

/// Creates a chatroom and subscribes to its events. The first event, of its creation, has been received.
pub(super) async fn subscribe_to_new_chatroom(user: &TestUser) -> (TestChatroom, Events) {
    let chatroom = user.create_chatroom("x").await;
    let mut events = Events::subscribe(user, &chatroom.id, Some("0")).await;
    assert_eq!(events.next_kind().await, "ChatroomUpdated");
    (chatroom, events)
}

#[tokio::test]
async fn every_device_receives_all_events_in_order() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (chatroom, mut phone) = subscribe_to_new_chatroom(&user).await;
    let mut tablet = Events::subscribe(&user, &chatroom.id, Some("0")).await;
    assert_eq!(tablet.next_kind().await, "ChatroomUpdated");
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Hello").wait(&gate).text(" there").finish("STOP"));
    let sent = chatroom.send("hi").await;
    for device in [&mut phone, &mut tablet] {
        let added = device.next().await.unwrap();
        assert_eq!(
            (&added["__typename"], &added["message"]["id"]),
            (&json!("MessageAdded"), &json!(sent.message))
        );
        let added = device.next().await.unwrap();
        assert_eq!(
            (&added["__typename"], &added["message"]["id"]),
            (&json!("MessageAdded"), &json!(sent.reply))
        );
        assert_eq!(
            device.next().await.unwrap(),
            json!({"__typename": "ReplyDelta", "text": "Hello", "cursor": "1-5"})
        );
    }
    gate.release_one();
    for device in [&mut phone, &mut tablet] {
        assert_eq!(device.next().await.unwrap()["text"], " there");
        let completed = device.next().await.unwrap();
        assert_eq!(completed["__typename"], "ReplyCompleted");
        assert_eq!(completed["message"], json!({"id": sent.reply, "content": "Hello there"}));
    }
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"y\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": chatroom.id })).await;
    user.data(
        "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
        json!({ "id": chatroom.id }),
    )
    .await;
    for device in [&mut phone, &mut tablet] {
        // A subscription that reads the chatroom after its deletion does not see the rename.
        let mut next = device.next().await.unwrap();
        if next["__typename"] == "ChatroomUpdated" {
            assert_eq!(next["chatroom"]["title"], "y");
            next = device.next().await.unwrap();
        }
        assert_eq!(next, json!({"__typename": "ChatroomDeleted", "deletedId": chatroom.id}));
        assert_eq!(device.next().await, None);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_backlog_is_paged_and_resumes_after_any_event() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut last = String::new();
    let long = "x".repeat(20_000);
    app.gemini.respond_with(move |_| Script::new().text(&long).finish("STOP"));
    for _ in 0..60 {
        last = chatroom.send("hi").await.reply;
        user.read(&last).await;
    }
    // A regeneration changes several messages at once.
    user.read(&user.regenerate(&last).await.unwrap().reply).await;
    let changed_id = async |events: &mut Events| {
        let change = events.next().await.unwrap();
        change["message"]["id"].as_str().unwrap_or("the chatroom").to_owned()
    };
    let mut events = Events::subscribe(&user, &chatroom.id, Some("0")).await;
    let mut all = Vec::new();
    for _ in 0..122 {
        let id = changed_id(&mut events).await;
        all.push((id, events.cursor.clone()));
    }
    let ids: std::collections::HashSet<_> = all.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 122, "the chatroom and each message have one event");
    for at in [0, 20, 59, 60, 99, 100, 101, 119, 120] {
        let mut rest = Events::subscribe(&user, &chatroom.id, Some(&all[at].1)).await;
        for (id, _) in &all[at + 1..] {
            assert_eq!(changed_id(&mut rest).await, *id, "after event {at}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn changes_since_the_cursor_are_sent_first_and_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (chatroom, events) = subscribe_to_new_chatroom(&user).await;
    let cursor = events.cursor.clone();
    drop(events);
    let first = chatroom.send("one").await;
    user.read(&first.reply).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Hal").wait(&gate).text("lo").finish("STOP"));
    let second = chatroom.send("two").await;
    user.follow(&second.reply, None).await.read_until("Hal").await;

    let mut events = Events::subscribe(&user, &chatroom.id, Some(&cursor)).await;
    let mut changed = Vec::new();
    let mut text = String::new();
    while changed.len() < 4 {
        let change = events.next().await.unwrap();
        assert_eq!(change["__typename"], "MessageChanged");
        changed.push(change["message"]["id"].as_str().unwrap().to_owned());
        if change["message"]["id"] == second.reply.as_str() {
            change["message"]["content"].as_str().unwrap().clone_into(&mut text);
        }
    }
    let mut expected = [first.message, first.reply, second.message, second.reply];
    expected.sort();
    changed.sort();
    assert_eq!(changed, expected, "an event was repeated");
    gate.release_one();
    loop {
        let change = events.next().await.unwrap();
        match change["__typename"].as_str().unwrap() {
            "ReplyDelta" => text.push_str(change["text"].as_str().unwrap()),
            kind => {
                assert_eq!(kind, "ReplyCompleted");
                assert_eq!(text, "Hallo", "no gap between the backlog and live events");
                break;
            }
        }
    }
    // Nothing has changed since this cursor, so the next event is that of the rename.
    let cursor = events.cursor.clone();
    drop(events);
    let mut events = Events::subscribe(&user, &chatroom.id, Some(&cursor)).await;
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"y\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": chatroom.id })).await;
    let mut kind = events.next_kind().await;
    if kind == "MessageChanged" {
        // The stored end of the reply may be newer than the cursor of its last event, and is then sent as well.
        kind = events.next_kind().await;
    }
    assert_eq!(kind, "ChatroomUpdated");
    app.stop().await;
}

#[tokio::test]
async fn without_a_cursor_a_running_reply_is_sent_from_its_beginning() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("One, ").wait(&gate).text("two").finish("STOP"));
    let sent = chatroom.send("count").await;
    user.follow(&sent.reply, None).await.read_until("One").await;
    let mut events = Events::subscribe(&user, &chatroom.id, None).await;
    let changed = events.next().await.unwrap();
    assert_eq!(changed["__typename"], "MessageChanged");
    let mut text = changed["message"]["content"].as_str().unwrap().to_owned();
    gate.release_one();
    loop {
        let change = events.next().await.unwrap();
        if change["__typename"] == "ReplyCompleted" {
            break;
        }
        text.push_str(change["text"].as_str().unwrap());
    }
    assert_eq!(text, "One, two");
    app.stop().await;
}

#[tokio::test]
async fn regenerating_emits_the_old_replys_change_and_a_new_message() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (chatroom, mut events) = subscribe_to_new_chatroom(&user).await;
    // The gate delays the replies, because a reply that ends before the subscription reads it is added as completed, and no
    // ReplyCompleted follows.
    let gate = Gate::closed();
    for _ in 0..2 {
        app.gemini.enqueue(Script::new().wait(&gate).text("One").finish("STOP"));
    }
    let sent = chatroom.send("hi").await;
    for _ in 0..2 {
        assert_eq!(events.next_kind().await, "MessageAdded");
    }
    gate.release_one();
    while events.next_kind().await != "ReplyCompleted" {}
    let regenerated = user.regenerate(&sent.reply).await.unwrap();
    let mut changes = [events.next().await.unwrap(), events.next().await.unwrap()];
    changes.sort_by_key(|change| change["__typename"].as_str().unwrap().to_owned());
    assert_eq!(changes[0]["message"]["id"], regenerated.reply.as_str());
    assert_eq!(changes[0]["__typename"], "MessageAdded");
    assert_eq!(
        (&changes[1]["__typename"], &changes[1]["message"]["id"]),
        (&json!("MessageChanged"), &json!(sent.reply))
    );
    gate.release_one();
    while events.next_kind().await != "ReplyCompleted" {}
    app.stop().await;
}

#[tokio::test]
async fn account_events_send_the_current_state_and_every_change() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    let query =
        "subscription { accountEvents { subscription { tier state } usage { used remaining limit } } }";
    socket.subscribe("1", query, &json!({})).await;
    let mut next_state = async || socket.next().await.unwrap()["payload"]["data"]["accountEvents"].take();
    let basic = json!({"tier": "BASIC", "state": "NONE"});
    let expected = json!({"subscription": basic, "usage": {"used": 0, "remaining": 20, "limit": 20}});
    assert_eq!(next_state().await, expected);
    app.gemini.enqueue(Script::gemini_error(400, "INVALID_ARGUMENT", json!([])));
    let sent = user.create_chatroom("x").await.send("hi").await;
    assert_eq!(next_state().await["usage"]["used"], 1);
    user.read(&sent.reply).await;
    assert_eq!(next_state().await["usage"]["used"], 0, "the quota of the failed reply was refunded");
    app.stop().await;
}

#[tokio::test]
async fn deleting_a_chatroom_during_a_reply_emits_chatroom_deleted() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let (chatroom, mut events) = subscribe_to_new_chatroom(&user).await;
    app.gemini.enqueue(Script::new().text("One").hang());
    chatroom.send("hi").await;
    while events.next_kind().await != "ReplyDelta" {}
    user.data(
        "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }",
        json!({ "id": chatroom.id }),
    )
    .await;
    assert_eq!(
        events.next().await.unwrap(),
        json!({"__typename": "ChatroomDeleted", "deletedId": chatroom.id})
    );
    assert_eq!(events.next().await, None);
    app.stop().await;
}

#[tokio::test]
async fn a_device_resumes_without_loss_after_any_event() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let first = chatroom.send("one").await;
    user.read(&first.reply).await;
    let rename = "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"y\"}) { chatroom { id } } }";
    user.data(rename, json!({ "id": chatroom.id })).await;
    let second = chatroom.send("two").await;
    user.read(&second.reply).await;
    let regenerated = user.regenerate(&second.reply).await.unwrap();
    user.read(&regenerated.reply).await;

    let id_or_kind = |change: &Value| match change["message"]["id"].as_str() {
        Some(id) => id.to_owned(),
        None => change["__typename"].as_str().unwrap().to_owned(),
    };
    let expected =
        ["ChatroomUpdated", &first.message, &first.reply, &second.message, &second.reply, &regenerated.reply];
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    let count = expected.len();
    let mut subscription = Events::subscribe(&user, &chatroom.id, Some("0")).await;
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(id_or_kind(&subscription.next().await.unwrap()));
        let mut resumed = Events::subscribe(&user, &chatroom.id, Some(&subscription.cursor)).await;
        let mut received = events.clone();
        while {
            received.sort();
            received.dedup();
            received.len() < count
        } {
            received.push(id_or_kind(&resumed.next().await.unwrap()));
        }
        assert_eq!(received, expected, "after {}", subscription.cursor);
    }
    assert_eq!(events.len(), count, "an event was repeated");
    app.stop().await;
}
