//! This release on a database of the previous one. `tests/fixtures/released/` has the schema of a PostgreSQL database that the
//! previous release has migrated, and the rows that it has written. `make rolling-upgrade` runs both releases at once.

use std::{fs, process::Command};

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use crate::support::{
    Backend, Script, TestUser,
    process::{Deployment, Process},
    requirements::require_servers,
    user::TestChatroom,
};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/released");
const PHONE: &str = "+14155550123";

async fn deployment_without_schema() -> Deployment {
    let backend = Backend::without_schema(&Backend::servers().unwrap()).await;
    Deployment { backend, ..Deployment::new().await }
}

/// Executes a file of the fixture.
async fn load(deployment: &Deployment, file: &str) {
    let database = Database::connect(&deployment.backend.database_url).await.unwrap();
    database.execute_unprepared(&fs::read_to_string(format!("{FIXTURE}/{file}")).unwrap()).await.unwrap();
    database.close().await.unwrap();
}

/// Signs in as the user of the fixture, whose last reply is unfinished, and continues the conversation.
async fn continue_conversation(process: Process) {
    let user = TestUser::sign_in(process.address, PHONE).await;
    let query = "{ chatrooms { nodes { id title messages(last: 1) { nodes { id role } } } } }";
    let data = user.data(query, json!({})).await;
    let [chatroom] = data["chatrooms"]["nodes"].as_array().unwrap().as_slice() else { panic!("{data}") };
    assert_eq!(chatroom["title"], "Plans");
    let last = &chatroom["messages"]["nodes"][0];
    assert_eq!(last["role"], "MODEL");
    user.read(last["id"].as_str().unwrap()).await;
    let chatroom = TestChatroom { id: chatroom["id"].as_str().unwrap().to_owned(), user: user.clone() };
    let sent = chatroom.send("Go on").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    let branch = chatroom.branch().await;
    let contents: Vec<_> = branch.iter().map(|(_, content)| content.as_str()).collect();
    assert_eq!(contents, ["Hello", "The first reply", "And then?", "Yes.", "Go on", "Yes."]);
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_start_on_a_database_of_the_previous_release_keeps_its_rows_and_completes_its_replies() {
    require_servers!();
    let deployment = deployment_without_schema().await;
    load(&deployment, "schema.sql").await;
    load(&deployment, "rows.sql").await;
    continue_conversation(deployment.start().await).await;
}

#[tokio::test]
async fn rows_that_the_previous_release_writes_after_the_migration_are_complete() {
    require_servers!();
    let deployment = deployment_without_schema().await;
    load(&deployment, "schema.sql").await;
    let process = deployment.start().await;
    load(&deployment, "rows.sql").await;
    continue_conversation(process).await;
}

/// Writes the fixture with the binary of the release, as docs/development/release.md describes.
#[tokio::test]
#[ignore = "part of a release"]
async fn write_the_database_of_a_release() {
    require_servers!();
    let deployment = deployment_without_schema().await;
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, PHONE).await;
    let chatroom = user.create_chatroom("Plans").await;
    deployment.gemini.enqueue(Script::reply(["The first", " reply"]));
    user.read(&chatroom.send("Hello").await.reply).await;
    deployment.gemini.enqueue(Script::new().text("Half").hang());
    user.follow(&chatroom.send("And then?").await.reply, None).await.read_until("Half").await;
    process.kill();
    fs::create_dir_all(FIXTURE).unwrap();
    let migrations = ["--data-only", "--column-inserts", "--table=seaql_migrations"];
    let schema = dump(&deployment, &["--schema-only"]) + &dump(&deployment, &migrations);
    fs::write(format!("{FIXTURE}/schema.sql"), schema).unwrap();
    // Every server writes the row of `write_checks` itself.
    let excluded = ["--exclude-table=seaql_migrations", "--exclude-table=write_checks"];
    let rows = dump(&deployment, &[&["--data-only", "--column-inserts"], &excluded[..]].concat());
    fs::write(format!("{FIXTURE}/rows.sql"), rows).unwrap();
}

/// The statements of `pg_dump`, without comments, settings of the session and commands of psql.
fn dump(deployment: &Deployment, arguments: &[&str]) -> String {
    let mut command = Command::new("pg_dump");
    command.args(["--no-owner", "--no-privileges"]).args(arguments).arg(&deployment.backend.database_url);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let is_statement = |line: &&str| {
        !line.is_empty()
            && !["--", "\\", "SET ", "SELECT pg_catalog."].iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(is_statement).collect::<Vec<_>>().join("\n") + "\n"
}
