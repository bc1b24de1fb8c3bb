//! Downloading a chatroom.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};

use crate::support::{Script, TestApp, TestUser, process::Deployment};

/// Returns the path and query under which a chatroom can be downloaded.
async fn export_url(user: &TestUser, chatroom: &str, format: &str) -> String {
    let query = format!("query($id: ID!) {{ chatroom(id: $id) {{ export(format: {format}) {{ url }} }} }}");
    let found = user.data(&query, json!({ "id": chatroom })).await;
    found["chatroom"]["export"]["url"].as_str().unwrap().to_owned()
}

async fn download(user: &TestUser, path: &str) -> reqwest::Response {
    let request = user.http.get(format!("http://{}{path}", user.address));
    if user.token.is_empty() {
        return request.send().await.unwrap();
    }
    request.bearer_auth(&user.token).send().await.unwrap()
}

#[tokio::test]
async fn a_download_contains_the_active_branch_in_both_formats() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom =
        user.create_chatroom_with(json!({"title": "Plans", "systemInstruction": "Be\nbrief."})).await;
    let old = chatroom.send("old").await;
    user.read(&old.reply).await;
    app.gemini.enqueue(Script::reply(["Two\n", "lines\n"]));
    let new = user.edit(&old.message, "new").await.unwrap();
    user.read(&new.reply).await;
    let markdown = download(&user, &export_url(&user, &chatroom.id, "MARKDOWN").await).await;
    assert_eq!(markdown.headers()["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(markdown.headers()["content-disposition"], "attachment; filename=\"chatroom.md\"");
    let markdown = markdown.text().await.unwrap();
    // Ignores the headings of messages, which contain times.
    let lines: Vec<&str> = markdown.lines().filter(|line| !line.starts_with("## ")).collect();
    let expected = ["# Plans", "", "> Be", "> brief.", "", "", "new", "", "", "Two", "lines", ""];
    assert_eq!(lines, expected, "{markdown}");
    let json: Value =
        download(&user, &export_url(&user, &chatroom.id, "JSON").await).await.json().await.unwrap();
    assert_eq!(json["chatroom"]["title"], "Plans");
    let messages = json["messages"].as_array().unwrap();
    let ids: Vec<&Value> = messages.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [new.message.as_str(), new.reply.as_str()]);
    assert_eq!(messages[1]["content"], "Two\nlines\n");
    let empty = user.create_chatroom("empty").await;
    let json: Value =
        download(&user, &export_url(&user, &empty.id, "JSON").await).await.json().await.unwrap();
    assert_eq!(json["messages"], json!([]));
    app.stop().await;
}

#[tokio::test]
async fn a_long_chatroom_is_downloaded_whole() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let long = "x".repeat(30_000);
    for number in 0..60 {
        let sent = chatroom.send(&format!("{number} {long}")).await;
        user.read(&sent.reply).await;
    }
    let json: Value =
        download(&user, &export_url(&user, &chatroom.id, "JSON").await).await.json().await.unwrap();
    let messages = json["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 120);
    for (number, message) in messages.iter().step_by(2).enumerate() {
        assert!(message["content"].as_str().unwrap().starts_with(&format!("{number} x")));
    }
    app.stop().await;
}

#[tokio::test]
async fn only_the_owner_can_download_a_chatroom() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let chatroom = user.create_chatroom("x").await;
    let path = export_url(&user, &chatroom.id, "JSON").await;
    assert_eq!(download(&app.anonymous(), &path).await.status(), 401);
    assert_eq!(
        download(&other, &path).await.status(),
        download(&user, "/chatrooms/nonsense/export").await.status()
    );
    let response: Value = download(&other, &path).await.json().await.unwrap();
    assert_eq!(crate::support::code_of(&response), "NOT_FOUND");
    let response: Value = download(&user, &path.replace("json", "pdf")).await.json().await.unwrap();
    assert_eq!(response["errors"][0]["extensions"]["field"], "format");
    app.stop().await;
}

#[tokio::test]
async fn downloads_are_limited_per_user() {
    let app = TestApp::with_stopped_clock().await;
    let (user, other) = (app.user().await, app.user().await);
    let (chatroom, others_chatroom) = (user.create_chatroom("x").await, other.create_chatroom("y").await);
    let path = export_url(&user, &chatroom.id, "JSON").await;
    for _ in 0..60 {
        assert_eq!(download(&user, &path).await.status(), 200);
    }
    let limited = download(&user, &path).await;
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key("retry-after"));
    assert_eq!(download(&other, &export_url(&other, &others_chatroom.id, "JSON").await).await.status(), 200);
    app.stop().await;
}

/// Inserts a branch of `count` messages, each of a hundred characters, into an empty chatroom.
async fn insert_branch(db: &DatabaseConnection, user: &str, chatroom: &str, count: u32) {
    let user: entity::UserId = user.parse().unwrap();
    let chatroom: entity::ChatroomId = chatroom.parse().unwrap();
    // The SQL expression of the id of a message: a fixed UUID whose last 12 hexadecimal digits are the message's number.
    let id = |number: &str| match db.get_database_backend() {
        DbBackend::Sqlite => format!("unhex('01900000000070008000' || printf('%012x', {number}))"),
        _ => format!("('01900000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"),
    };
    let text = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})
         INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt, added_version,
                               changed_version, created_at)
         SELECT {id}, $1, $2, CASE WHEN n > 0 THEN {parent} END, n, true, 'user', $3, 'completed', 0, 0, 0, $4 FROM numbers",
        id = id("n"),
        parent = id("n - 1"),
    );
    let now: chrono::DateTime<chrono::Utc> = "2026-06-01T12:00:00Z".parse().unwrap();
    let values = [user.into(), chatroom.into(), "x".repeat(100).into(), now.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), text, values)).await.unwrap();
}

#[tokio::test]
async fn downloading_100_000_messages_takes_at_most_20_mib_of_memory() {
    const MESSAGES: u32 = 100_000;
    const MIB: u64 = 1024 * 1024;
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let (warm_up, chatroom) = (user.create_chatroom("x").await, user.create_chatroom("long").await);
    let db = Database::connect(&deployment.backend.database_url).await.unwrap();
    insert_branch(&db, &user.id, &chatroom.id, MESSAGES).await;
    db.close().await.unwrap();
    for format in ["JSON", "MARKDOWN"] {
        download(&user, &export_url(&user, &warm_up.id, format).await).await.bytes().await.unwrap();
        let path = export_url(&user, &chatroom.id, format).await;
        let before = process.memory();
        process.reset_peak_memory();
        let mut response = download(&user, &path).await;
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            bytes += chunk.len();
        }
        assert!(bytes > MESSAGES as usize * 100, "{format}: {bytes} bytes");
        let growth = process.peak_memory().saturating_sub(before) / MIB;
        assert!(growth <= 20, "{format}: the download took {growth} MiB");
    }
    process.terminate();
    assert!(process.wait_for_exit().await);
}
