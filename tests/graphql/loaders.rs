//! Loaders: one statement per level of a query, for any number of objects.

use serde_json::json;

use crate::support::{TestApp, TestUser};

const NESTED: &str = "query($first: Int) { chatrooms(first: $first) { nodes {
    lastMessage { content }
    messages(last: 2) { nodes {
        chatroom { title } inReplyTo { content } alternatives { id }
    } }
} } }";

async fn statements(app: &TestApp, user: &TestUser, chatrooms: usize) -> Vec<String> {
    // Warms up caches and connections.
    user.data(NESTED, json!({ "first": chatrooms })).await;
    app.statements.lock().unwrap().clear();
    user.data(NESTED, json!({ "first": chatrooms })).await;
    // Not counted: the worker's polls for jobs, and reads of the session and of the list's version once in five seconds.
    let is_of_the_query = |sql: &&String| {
        !["jobs", "\"sessions\"", "chatrooms_version"].iter().any(|other| sql.contains(other))
    };
    app.statements.lock().unwrap().iter().filter(is_of_the_query).cloned().collect()
}

#[tokio::test]
async fn nested_fields_cost_one_statement_per_level_at_any_page_size() {
    let app = TestApp::with_settings(&["--basic-daily-limit=100"]).await;
    let user = app.user().await;
    for n in 0..30 {
        let sent = user.create_chatroom(&n.to_string()).await.send("hi").await;
        user.read(&sent.reply).await;
    }
    for chatrooms in [2, 30] {
        let statements = statements(&app, &user, chatrooms).await;
        // Two statements for messages (`lastMessage` and `messages`), and one each for chatrooms, parents and alternatives. A batch
        // collects keys for a millisecond, so that a busy machine may divide one.
        assert!((5..=10).contains(&statements.len()), "{statements:#?}");
    }
    app.stop().await;
}
