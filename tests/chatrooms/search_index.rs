//! Indexing messages in the background.

use entity::{ChatroomId, MessageId, UserId};
use pollux::domain::search::{backfill, index_queued};
use sea_orm::{ConnectionTrait, EntityTrait, QuerySelect};
use serde_json::json;

use super::search::{find, search, send_all};
use crate::support::TestApp;

#[tokio::test]
async fn messages_stored_before_search_existed_are_indexed_in_the_background() {
    let app = TestApp::with_settings(&["--rate-limits=off", "--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let chatroom = send_all(&app, &user, &["old apple"]).await;
    let temporary = user.create_chatroom_with(json!({"title": "t", "temporary": true})).await;
    let sent = temporary.send("temporary apple").await;
    user.read(&sent.reply).await;
    app.wait_until_idle().await;
    let db = &app.chatrooms.db;
    insert_old_messages(&app, user.id.parse().unwrap(), chatroom.parse().unwrap(), 250).await;
    // Restores what the migration that added search leaves: an empty index, and a backfill that begins with the highest id.
    for statement in [
        "DELETE FROM search_entries",
        "DELETE FROM search_users",
        "DELETE FROM search_queue",
        "DELETE FROM search_backfill",
        match db.read().get_database_backend() {
            sea_orm::DbBackend::Sqlite => {
                "INSERT INTO search_backfill VALUES (unhex('ffffffffffffffffffffffffffffffff'))"
            }
            _ => "INSERT INTO search_backfill VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff')",
        },
    ] {
        db.write().execute_unprepared(statement).await.unwrap();
    }
    assert_eq!(find(&user, "apple").await, [""; 0]);
    send_all(&app, &user, &["new apple"]).await;
    assert_eq!(find(&user, "apple").await, ["new apple"]);
    // Runs two batches a round, as two processes would. `|` runs both calls, whatever the first one returns.
    while backfill(db).await.unwrap() | backfill(db).await.unwrap() {}
    while index_queued(db).await.unwrap() {}
    assert!(!backfill(db).await.unwrap());
    assert_eq!(find(&user, "apple").await, ["new apple", "old apple"]);
    let page = search(&user, json!({"query": "banana", "first": 100})).await;
    assert_eq!(page["edges"].as_array().unwrap().len(), 100);
    assert_eq!(find(&user, "number 249").await, ["banana number 249"]);
    app.stop().await;
}

/// Inserts messages that are older than all others, as an earlier release would have left them.
async fn insert_old_messages(app: &TestApp, user: UserId, chatroom: ChatroomId, count: u128) {
    let db = &app.chatrooms.db;
    let template = entity::message::Entity::find().limit(1).one(db.read()).await.unwrap().unwrap();
    for number in 0..count {
        // Ids are UUIDs of version 7, which contain a time. The time of these ids is in 2024.
        let message = entity::message::Model {
            id: MessageId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)),
            user_id: user,
            chatroom_id: chatroom,
            parent_id: None,
            active: false,
            content: format!("banana number {number}"),
            ..template.clone()
        };
        pollux::store::messages::insert(db.write(), &message).await.unwrap();
    }
}
