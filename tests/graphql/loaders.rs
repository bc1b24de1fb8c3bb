//! One query a level, however many objects stand on it.

use serde_json::json;

use crate::support::{TestApp, TestUser};

const NESTED: &str = "query($first: Int) { chatrooms(first: $first) { nodes {
    lastMessage { content }
    messages(last: 2) { nodes {
        chatroom { title } inReplyTo { content } alternatives { id }
    } }
} } }";

async fn statements(app: &TestApp, user: &TestUser, rooms: usize) -> Vec<String> {
    // A first time, so that neither caches nor connections are cold.
    user.data(NESTED, json!({ "first": rooms })).await;
    app.statements.lock().unwrap().clear();
    user.data(NESTED, json!({ "first": rooms })).await;
    // The worker looks for jobs meanwhile.
    app.statements.lock().unwrap().iter().filter(|sql| !sql.contains("jobs")).cloned().collect()
}

#[tokio::test]
async fn nested_fields_cost_one_query_a_level_whatever_the_page() {
    let app = TestApp::with_settings(&["--basic-daily-limit=100"]).await;
    let user = app.user().await;
    for n in 0..30 {
        let asked = user.room(&n.to_string()).await.ask("hi").await;
        user.read(&asked.reply).await;
    }
    let few = statements(&app, &user, 2).await;
    let many = statements(&app, &user, 30).await;
    assert_eq!(few.len(), many.len(), "{few:#?}, {many:#?}");
    // The session, the list's version, two windows of messages, and rooms, parents and versions.
    assert_eq!(many.len(), 7, "{many:#?}");
    app.stop().await;
}
