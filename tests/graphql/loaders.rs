//! Loaders: the server reads each level of a query with one statement, whatever the number of objects.

use serde_json::json;

use crate::support::{TestApp, TestUser};

const NESTED: &str = "query($first: Int) { chatrooms(first: $first) { nodes {
    lastMessage { content }
    messages(last: 2) { nodes {
        chatroom { title } inReplyTo { content } alternatives { id }
    } }
} } }";

/// Returns the SQL statements that the nested query executes for a page of `chatrooms` chatrooms.
async fn statements_of_nested_query(app: &TestApp, user: &TestUser, chatrooms: usize) -> Vec<String> {
    // Warms up caches and connections.
    user.data(NESTED, json!({ "first": chatrooms })).await;
    app.statements.lock().unwrap().clear();
    user.data(NESTED, json!({ "first": chatrooms })).await;
    // The server's background tasks execute statements of their own, on other tables or, for search, on both of these.
    let is_of_the_query = |sql: &&String| {
        ["FROM messages", "FROM \"messages\"", "FROM \"chatrooms\""].iter().any(|table| sql.contains(table))
            && !sql.contains("search_entries")
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
        let statements = statements_of_nested_query(&app, &user, chatrooms).await;
        // Two statements read messages (`lastMessage` and `messages`), and one each reads chatrooms, parents and alternatives.
        assert_eq!(statements.len(), 5, "{statements:#?}");
    }
    app.stop().await;
}
