//! What holds for one process on SQLite only.

mod disk_full;
mod files;

use serde_json::json;

use crate::support::{
    TestUser,
    process::{Process, Site, moved},
};

#[tokio::test]
async fn one_database_has_one_server() {
    let site = Site::new().await;
    let process = site.start().await;
    let second = Process::command(site.directory.path()).env("BIND", "127.0.0.1:0").output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another process is using data/pollux.db"), "{said}");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn the_installations_secret_is_kept_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new().await;
    let process = site.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.ended().await);
    let mode = std::fs::metadata(site.directory.path().join("data/jwt_secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = site.start().await;
    let me = moved(&user, &process).data("{ me { id } }", json!({})).await;
    assert_eq!(me["me"]["id"], user.id.as_str(), "tokens outlive a restart");
    process.terminate();
    assert!(process.ended().await);
}
