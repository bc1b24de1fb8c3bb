//! One chatroom that many devices follow, and one that a slow device follows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::events::{EVENTS, Events, subscribe_to_new_chatroom};
use crate::support::{Gate, Script, TestApp, socket::Socket};

#[tokio::test]
async fn many_devices_with_different_selections_receive_every_event_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let other_selection =
        "subscription($id: ID!, $after: String) { chatroomEvents(chatroomId: $id, after: $after) { change {
        ... on MessageAdded { message { id chatroom { id } } }
        ... on ReplyDelta { kind: __typename message { id } part: text }
        ... on ReplyCompleted { message { content status } }
    } } }";
    let mut devices = Vec::new();
    for number in 0..24 {
        let mut socket = user.socket().await;
        let query = if number % 2 == 0 { EVENTS } else { other_selection };
        socket.subscribe("chatroom", query, &json!({ "id": chatroom.id, "after": "0" })).await;
        devices.push(socket);
    }
    // After version 0, the first event is the creation of the chatroom. It shows that the subscription is open.
    for socket in &mut devices {
        next_change(socket).await;
    }
    for text in ["One", "Two", "Three"] {
        let gate = Gate::closed();
        app.gemini.enqueue(Script::new().wait(&gate).text(text).finish("STOP"));
        let sent = chatroom.send("hi").await;
        // The messages that devices with `EVENTS` (only the id is compared) and with `other_selection` receive.
        let added = |id: &str| [json!({ "id": id }), json!({ "id": id, "chatroom": { "id": chatroom.id } })];
        for (number, socket) in devices.iter_mut().enumerate() {
            for id in [&sent.message, &sent.reply] {
                let mut change = next_change(&mut *socket).await;
                let message = &mut change["message"];
                if number % 2 == 0 {
                    *message = json!({ "id": message["id"] });
                }
                assert_eq!(*message, added(id)[number % 2], "device {number}");
            }
        }
        gate.release_one();
        for (number, socket) in devices.iter_mut().enumerate() {
            let delta = if number % 2 == 0 {
                json!({ "__typename": "ReplyDelta", "text": text, "cursor": format!("1-{}", text.len()) })
            } else {
                json!({ "kind": "ReplyDelta", "message": { "id": sent.reply }, "part": text })
            };
            assert_eq!(next_change(&mut *socket).await, delta, "device {number}");
            assert_eq!(next_change(&mut *socket).await["message"]["content"], text, "device {number}");
        }
    }
    app.stop().await;
}

async fn next_change(socket: &mut Socket) -> Value {
    let mut message = socket.next().await.unwrap();
    assert!(message["payload"].get("errors").is_none(), "{message}");
    message["payload"]["data"]["chatroomEvents"]["change"].take()
}

#[tokio::test]
async fn a_device_that_stopped_reading_receives_what_it_missed() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let (chatroom, mut fast) = subscribe_to_new_chatroom(&user).await;
    // After version 0, the first event is the creation of the chatroom.
    let mut slow = Events::subscribe(&user, &chatroom.id, Some("0")).await;
    assert_eq!(slow.next_kind().await, "ChatroomUpdated");
    let long = "x".repeat(200_000);
    app.gemini.respond_with(move |_| Script::new().text(&long).finish("STOP"));
    let mut messages = BTreeSet::new();
    // The replies exceed what the queues and the network between the server and the slow device can hold.
    for _ in 0..60 {
        let sent = chatroom.send("hi").await;
        // Waits for the complete reply. It is in `ReplyCompleted`, or in `MessageAdded` if the reply ended before the
        // server read it for this event.
        while fast.next().await.unwrap()["message"]["content"].as_str().map(str::len) != Some(200_000) {}
        messages.extend([sent.message, sent.reply]);
    }
    let mut lengths = BTreeMap::new();
    let mut completed_replies = 0;
    while completed_replies < 60 {
        let change = slow.next().await.unwrap();
        let message = &change["message"];
        let Some(id) = message["id"].as_str() else { continue };
        let length = message["content"].as_str().unwrap().len();
        let before = lengths.insert(id.to_owned(), length);
        completed_replies += usize::from(length == 200_000 && before != Some(length));
    }
    assert_eq!(lengths.into_keys().collect::<BTreeSet<_>>(), messages);
    app.stop().await;
}
