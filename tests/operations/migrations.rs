//! Migrations are reversible, and keep the data of the previous release.

use std::fs;

use migration::{Migrator, MigratorTrait};
use pollux::{domain::search::backfill, store::Db};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde_json::json;

use crate::support::{
    TestUser,
    app::config,
    previous_release::{self, Chatrooms},
    process::Deployment,
};

#[tokio::test]
async fn migrations_can_be_reverted_and_applied_again() {
    let db = Database::connect("sqlite::memory:").await.unwrap();
    // The second round fails if the first has left a table.
    for _ in 0..2 {
        Migrator::up(&db, None).await.unwrap();
        db.execute_unprepared("SELECT * FROM messages, jobs, users, stripe_events").await.unwrap();
        Migrator::down(&db, None).await.unwrap();
        let result = db.execute_unprepared("SELECT * FROM messages").await;
        assert!(result.is_err(), "the tables are left");
    }
}

/// An empty database, without a schema.
async fn empty_database(deployment: &Deployment) -> DatabaseConnection {
    if deployment.backend.redis_url.is_some() {
        let db = Database::connect(&deployment.backend.database_url).await.unwrap();
        Migrator::down(&db, None).await.unwrap();
        return db;
    }
    fs::create_dir_all(deployment.directory.path().join("data")).unwrap();
    Database::connect(format!("{}?mode=rwc", deployment.backend.database_url)).await.unwrap()
}

/// The rows of chatrooms and messages as texts, with the columns that the previous release has.
async fn data_of_previous_release(db: &DatabaseConnection) -> Vec<String> {
    let as_text = |column: &str| match db.get_database_backend() {
        DbBackend::Sqlite => format!("coalesce(CAST({column} AS TEXT), 'null')"),
        _ => format!("coalesce({column}::text, 'null')"),
    };
    let id_as_text = |column: &str| match db.get_database_backend() {
        DbBackend::Sqlite => format!("coalesce(hex({column}), 'null')"),
        _ => as_text(column),
    };
    let mut rows = Vec::new();
    for (table, ids, columns) in [
        (
            "chatrooms",
            "id user_id",
            "title system_instruction model version changed_version created_at updated_at",
        ),
        (
            "messages",
            "id user_id chatroom_id parent_id",
            "depth active role content status attempt failure_code failure_message model finish_reason prompt_tokens output_tokens
             thought_tokens feedback added_version changed_version created_at completed_at",
        ),
    ] {
        let columns: Vec<String> =
            ids.split_whitespace().map(id_as_text).chain(columns.split_whitespace().map(as_text)).collect();
        let query = format!("SELECT {} AS row FROM {table} ORDER BY id", columns.join(" || ' ' || "));
        let found = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
        rows.extend(found.iter().map(|row: &QueryResult| row.try_get::<String>("", "row").unwrap()));
    }
    rows
}

const CHATROOMS: &str = "{ chatrooms(first: 100) { nodes { id title } } }";
const CHATROOM: &str = "query($id: ID!) { chatroom(id: $id) {
    systemInstruction lastMessage { content } messages(first: 100) { nodes { content isCurrent } }
} }";

/// Checks that the user sees each chatroom as it was, and finds its messages.
async fn check_chatrooms(user: &TestUser, expected: &Chatrooms) {
    let listed = user.data(CHATROOMS, json!({})).await;
    let listed = listed["chatrooms"]["nodes"].as_array().unwrap();
    assert_eq!(listed.len(), expected.len());
    for chatroom in listed {
        let contents = &expected[chatroom["title"].as_str().unwrap()];
        let details = &user.data(CHATROOM, json!({"id": chatroom["id"]})).await["chatroom"];
        let nodes = details["messages"]["nodes"].as_array().unwrap().iter();
        assert!(
            nodes.clone().eq(contents
                .iter()
                .map(|text| json!({"content": text, "isCurrent": true}))
                .collect::<Vec<_>>()
                .iter())
        );
        assert_eq!(details["lastMessage"]["content"], *contents.last().unwrap());
        assert_eq!(details["systemInstruction"], "Be brief.");
    }
    let search = "query($query: String!) { search(query: $query, first: 100) { nodes { content } } }";
    // Each of the user's 20 chatrooms has the messages `inactive 0` to `inactive 39` outside its active branch.
    for (query, count) in [("creme brulee 東京都", 100), ("inactive 39", 20), ("inactive 40", 0)] {
        let found = user.data(search, json!({ "query": query })).await;
        assert_eq!(found["search"]["nodes"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_database_of_the_previous_release_is_upgraded_and_reverted_without_loss() {
    let deployment = Deployment::new().await;
    let db = empty_database(&deployment).await;
    let users = previous_release::fill(&db).await;
    let before = data_of_previous_release(&db).await;
    assert_eq!(before.len(), 10_000 + 100, "messages and chatrooms");
    db.close().await.unwrap();
    deployment.output(&["migrate"]);
    let settings = config(&[&format!("--database-url={}", deployment.backend.database_url)]);
    // Adds the messages to the search index, as the periodic task of a worker does.
    let db = Db::join(&settings.database).await.unwrap();
    while backfill(&db).await.unwrap() {}
    db.close().await;
    let process = deployment.start().await;
    for (phone_number, chatrooms) in &users {
        check_chatrooms(&TestUser::sign_in(process.address, phone_number).await, chatrooms).await;
    }
    process.terminate();
    assert!(process.wait_for_exit().await);
    let db = Database::connect(&deployment.backend.database_url).await.unwrap();
    assert!(data_of_previous_release(&db).await == before, "the upgrade changed data");
    Migrator::down(&db, Some(previous_release::new_migrations())).await.unwrap();
    assert!(data_of_previous_release(&db).await == before, "reverting the migrations changed data");
    let result = db.execute_unprepared("SELECT * FROM search_entries").await;
    assert!(result.is_err(), "the tables of the current release are left");
    db.close().await.unwrap();
}
