//! A dump of PostgreSQL and its restore, with the commands of docs/operations.md.

use std::process::Command;

use serde_json::json;

use crate::support::{
    Script, TestUser,
    backend::redis_connection,
    process::{Deployment, on_process},
    requirements::require_servers,
};

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_restored_dump_has_its_messages_and_completes_its_replies() {
    require_servers!();
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let chatroom = user.create_chatroom("Before").await;
    let first = chatroom.send("Hello").await;
    user.read(&first.reply).await;
    deployment.gemini.enqueue(Script::new().text("Half").hang());
    let unfinished = chatroom.send("And then?").await;
    let mut follower = user.follow(&unfinished.reply, None).await;
    follower.read_until("Half").await;

    let database = format!("--dbname={}", deployment.backend.database_url);
    let dump = deployment.directory.path().join("pollux.dump");
    let dump = dump.to_str().unwrap();
    run("pg_dump", &["--format=custom", &format!("--file={dump}"), &database]);
    user.create_chatroom("After").await;
    process.kill();
    run("pg_restore", &["--clean", "--if-exists", &database, dump]);
    let mut redis = redis_connection(deployment.backend.redis_url.as_ref().unwrap()).await;
    redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await.unwrap();

    let restored = deployment.start().await;
    // The access token and the cursor from before the restore are still valid.
    let user = on_process(&user, &restored);
    let mut resumed = user.follow(&unfinished.reply, Some(&follower.cursor)).await;
    assert_eq!(resumed.read_to_end().await, "ReplyCompleted");
    assert_eq!((resumed.text.as_str(), resumed.restarts), ("Yes.", 1));
    assert_eq!(user.message(&first.reply).await["content"], "Yes.");
    let data = user.data("{ chatrooms { nodes { title } } }", json!({})).await;
    assert_eq!(data["chatrooms"]["nodes"], json!([{ "title": "Before" }]));
    restored.terminate();
    assert!(restored.wait_for_exit().await);
}
