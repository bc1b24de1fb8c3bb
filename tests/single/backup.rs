//! A backup of a SQLite database while a server writes to it, and another server that starts on the backup.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::join_all;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::support::{
    Script, TestUser,
    process::{Deployment, on_process},
};

const USERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_has_every_committed_message_and_completes_every_reply() {
    let deployment = Deployment::new().await;
    let process = deployment.start_with(&[], &[("BASIC_DAILY_LIMIT", "100000")]).await;
    // The model does not respond before the kill, so that all replies are unfinished in the backup.
    deployment.gemini.respond_with(|_| Script::new().hang());
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(TestUser::sign_in(process.address, &format!("+1415555{number:04}")).await);
    }
    let (committed, is_backup_done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let tasks = TaskTracker::new();
    let load = users.iter().map(|user| {
        let (user, committed, is_backup_done) = (user.clone(), committed.clone(), is_backup_done.clone());
        tasks.spawn(async move {
            let chatroom = user.create_chatroom("Load").await;
            let mut number = 0;
            while !is_backup_done.load(Ordering::SeqCst) {
                let content = format!("message {number}");
                let Ok(sent) = chatroom.try_send(json!({ "content": content })).await else { return };
                committed.lock().unwrap().push((user.clone(), sent));
                number += 1;
            }
        })
    });
    let load: Vec<_> = load.collect();
    while committed.lock().unwrap().len() < 50 {
        tokio::task::yield_now().await;
    }
    let copy = deployment.directory.path().join("copy.db");
    let committed_before = committed.lock().unwrap().clone();
    let path = copy.to_str().unwrap().to_owned();
    let output = tokio::task::block_in_place(|| deployment.output(&["backup", &path]));
    assert!(output.contains("written and checked"), "{output}");
    is_backup_done.store(true, Ordering::SeqCst);
    join_all(load).await;
    assert!(
        committed.lock().unwrap().len() > committed_before.len(),
        "no message was sent during the backup"
    );
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    process.kill();

    let data = deployment.directory.path().join("data");
    for file in ["pollux.db", "pollux.db-wal", "pollux.db-shm"] {
        let _ = fs::remove_file(data.join(file));
    }
    fs::rename(&copy, data.join("pollux.db")).unwrap();
    deployment.gemini.respond_with(|_| Script::reply(["Yes."]));
    let restored = deployment.start_with(&[], &[("BASIC_DAILY_LIMIT", "100000")]).await;
    for (user, sent) in committed_before {
        // The access tokens from before the backup are still valid.
        let user = on_process(&user, &restored);
        user.read(&sent.reply).await;
        let reply = user.message(&sent.reply).await;
        assert_eq!((&reply["status"], &reply["content"]), (&json!("COMPLETED"), &json!("Yes.")), "{reply}");
        assert_eq!(user.message(&sent.message).await["role"], "USER");
    }
    restored.terminate();
    assert!(restored.wait_for_exit().await);
}

#[tokio::test]
async fn a_backup_does_not_overwrite_a_file() {
    let deployment = Deployment::new().await;
    let _process = deployment.start().await;
    let copy = deployment.directory.path().join("copy.db");
    fs::write(&copy, "precious").unwrap();
    let output = deployment.run(&["backup", copy.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot create"));
    assert_eq!(fs::read_to_string(&copy).unwrap(), "precious");
}
