//! Data export: everything stored about a user, as a download.

use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{TestApp, TestUser, code_of};

const PHONE: &str = "+14155550199";

async fn download_my_data(user: &TestUser) -> reqwest::Response {
    let path = user.data("{ myData { url } }", json!({})).await["myData"]["url"].as_str().unwrap().to_owned();
    let request = user.http.get(format!("http://{}{path}", user.address));
    request.bearer_auth(&user.token).send().await.unwrap()
}

#[tokio::test]
async fn export_contains_only_the_users_own_data() {
    let app = TestApp::start().await;
    let (user, other) = (app.sign_in_as(PHONE).await, app.user().await);
    other.read(&other.create_chatroom("not mine").await.send("hi").await.reply).await;
    let chatrooms = [user.create_chatroom("first").await, user.create_chatroom("second").await];
    for number in 0..15 {
        user.read(&chatrooms[0].send(&format!("question {number}")).await.reply).await;
    }
    let data = download_my_data(&user).await;
    assert_eq!(data.headers()["content-type"], "application/json");
    assert_eq!(data.headers()["content-disposition"], "attachment; filename=\"my-data.json\"");
    let data: Value = data.json().await.unwrap();
    assert_eq!(data["user"]["id"], user.id.as_str());
    assert_eq!(
        (&data["user"]["phoneNumber"], data["sessions"].as_array().unwrap().len()),
        (&json!(PHONE), 1)
    );
    let exported = data["chatrooms"].as_array().unwrap();
    let titles: Vec<_> = exported.iter().map(|chatroom| &chatroom["title"]).collect();
    assert_eq!(titles, ["first", "second"]);
    let messages = exported[0]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 30);
    assert_eq!(messages[28]["content"], "question 14");
    let expected = json!(["MODEL", "COMPLETED", "Yes.", messages[28]["id"]]);
    let last = &messages[29];
    assert_eq!(json!([last["role"], last["status"], last["content"], last["inReplyTo"]]), expected);
    assert_eq!(exported[1]["messages"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn export_reads_chatrooms_in_batches() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let seed = user.create_chatroom("seed").await;
    user.read(&seed.send("hi").await.reply).await;
    let db = app.chatrooms.db.write();
    let chatroom = entity::chatroom::Entity::find().one(db).await.unwrap().unwrap();
    let message = entity::message::Entity::find().one(db).await.unwrap().unwrap();
    // `POLLUX_TEST_CHATROOMS` sets another number, to measure large exports.
    let chatrooms: usize =
        std::env::var("POLLUX_TEST_CHATROOMS").map_or(300, |chatrooms| chatrooms.parse().unwrap());
    let tx = app.chatrooms.db.begin().await.unwrap();
    for number in 1..chatrooms {
        let id = entity::ChatroomId::generate();
        let title = format!("chatroom {number}");
        let new = entity::chatroom::Model { id, title, ..chatroom.clone() };
        pollux::store::chatrooms::insert(&tx, &new).await.unwrap();
        let mut parent_id = None;
        for depth in 0..(i32::try_from(number).unwrap() % 4) {
            let id = entity::MessageId::generate();
            let content = format!("message {depth} of chatroom {number}");
            let new = entity::message::Model {
                id,
                parent_id,
                depth,
                content,
                chatroom_id: new.id,
                ..message.clone()
            };
            pollux::store::messages::insert(&tx, &new).await.unwrap();
            parent_id = Some(id);
        }
    }
    pollux::store::commit(tx).await.unwrap();
    app.wait_until_idle().await;
    app.statements.lock().unwrap().clear();
    let started = std::time::Instant::now();
    let data: Value = download_my_data(&user).await.json().await.unwrap();
    eprintln!("{chatrooms} chatrooms took {:?}", started.elapsed());
    let reads_of = |table: &str| {
        let statements = app.statements.lock().unwrap();
        statements
            .iter()
            .filter(|sql| {
                sql.contains(&format!("FROM \"{table}\"")) || sql.contains(&format!("FROM {table}"))
            })
            .count()
    };
    // The number of statements depends on the number of batches, each of 200 chatrooms, not on the number of chatrooms.
    let batches = chatrooms.div_ceil(200);
    assert!(reads_of("chatrooms") <= batches + 2, "{}", reads_of("chatrooms"));
    assert!(reads_of("messages") <= batches * 5, "{}", reads_of("messages"));
    let exported = data["chatrooms"].as_array().unwrap();
    assert_eq!(exported.len(), chatrooms);
    for (number, chatroom) in exported.iter().enumerate().skip(1) {
        assert_eq!(chatroom["title"], format!("chatroom {number}"));
        let contents: Vec<_> = chatroom["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["content"].clone())
            .collect();
        let expected: Vec<_> =
            (0..number % 4).map(|depth| json!(format!("message {depth} of chatroom {number}"))).collect();
        assert_eq!(contents, expected);
    }
    app.stop().await;
}

#[tokio::test]
async fn export_reads_at_most_one_mebibyte_of_messages_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("long").await;
    user.read(&chatroom.send("hi").await.reply).await;
    let db = app.chatrooms.db.write();
    let message = entity::message::Entity::find().one(db).await.unwrap().unwrap();
    for depth in 2..9 {
        let id = entity::MessageId::generate();
        let content = format!("{depth}").repeat(512 * 1024);
        let new = entity::message::Model { id, depth, content, ..message.clone() };
        pollux::store::messages::insert(db, &new).await.unwrap();
    }
    app.statements.lock().unwrap().clear();
    let data: Value = download_my_data(&user).await.json().await.unwrap();
    let reads =
        app.statements.lock().unwrap().iter().filter(|sql| sql.contains("\"messages\".\"content\"")).count();
    assert!(reads >= 4, "messages of 3.5 MiB were read with {reads} statements");
    let first_characters: String = data["chatrooms"][0]["messages"].as_array().unwrap()[2..]
        .iter()
        .map(|message| message["content"].as_str().unwrap().chars().next().unwrap())
        .collect();
    assert_eq!(first_characters, "2345678");
    app.stop().await;
}

#[tokio::test]
async fn export_requires_a_token_and_is_rate_limited() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let response = anonymous.http.get(format!("http://{}/my-data", app.address)).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(code_of(&response.json().await.unwrap()), "UNAUTHENTICATED");
    let user = app.user().await;
    for _ in 0..10 {
        assert_eq!(download_my_data(&user).await.status(), 200);
    }
    let response = download_my_data(&user).await;
    assert_eq!(response.status(), 429);
    assert_eq!(code_of(&response.json().await.unwrap()), "RATE_LIMITED");
    app.stop().await;
}
