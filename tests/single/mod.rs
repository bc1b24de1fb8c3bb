//! Tests of a single process on SQLite.

mod backup;
mod disk_full;
mod files;
mod group_commit;

use serde_json::json;

use crate::support::{
    TestUser,
    process::{Deployment, Process, on_process},
};

#[tokio::test]
async fn a_second_server_on_the_same_database_does_not_start() {
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let second = Process::command(deployment.directory.path()).env("BIND", "127.0.0.1:0").output().unwrap();
    assert!(!second.status.success());
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(error.contains("another process is using data/pollux.db"), "{error}");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn the_generated_secret_is_kept_and_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.wait_for_exit().await);
    let mode =
        std::fs::metadata(deployment.directory.path().join("data/jwt_secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = deployment.start().await;
    let me = on_process(&user, &process).data("{ me { id } }", json!({})).await;
    assert_eq!(me["me"]["id"], user.id.as_str(), "the token must be valid after the restart");
    process.terminate();
    assert!(process.wait_for_exit().await);
}
