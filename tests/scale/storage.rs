//! PostgreSQL without space, and processes that share it without Redis.

use pollux::config::Role;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    TestApp, TestUser,
    app::Wishes,
    backend::SECRET,
    code_of,
    process::{Process, Site},
    socket::PATIENCE,
};

async fn ready(user: &TestUser) -> u16 {
    let answer = user.http.get(format!("http://{}/health/ready", user.address)).send().await.unwrap();
    answer.status().as_u16()
}

async fn becomes(user: &TestUser, status: u16) {
    let ready = async { while ready(user).await != status {} };
    timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("/health/ready does not become {status}"));
}

/// What PostgreSQL answers when it cannot extend a file.
const NO_SPACE: &str = "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$";
const CHECKS_FAIL: &str = "CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON write_checks
    FOR EACH ROW EXECUTE FUNCTION no_space()";

async fn refuses_until_there_is_space(messages_fail: &str) {
    let app = TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await;
    let database = Database::connect(&app.backend.database_url).await.unwrap();
    let user = app.user().await;
    let room = user.room("x").await;
    becomes(&user, 200).await;
    for statement in [NO_SPACE, CHECKS_FAIL, messages_fail] {
        database.execute_unprepared(statement).await.unwrap();
    }
    for _ in 0..3 {
        let refused = room.try_ask(json!({"content": "hi", "idempotencyKey": "k"})).await.unwrap_err();
        assert_eq!(code_of(&refused), "INTERNAL_SERVER_ERROR");
    }
    becomes(&user, 503).await;
    database.execute_unprepared("DROP FUNCTION no_space() CASCADE").await.unwrap();
    becomes(&user, 200).await;
    let sent = room.try_ask(json!({"content": "hi", "idempotencyKey": "k"})).await.unwrap();
    assert_eq!(sent.used, 1, "what was refused took nothing");
    assert_eq!(room.path().await.len(), 2);
    app.end().await;
}

#[tokio::test]
async fn a_statement_without_space_is_refused_until_there_is_some() {
    refuses_until_there_is_space(
        "CREATE TRIGGER no_space BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION no_space()",
    )
    .await;
}

#[tokio::test]
async fn a_commit_without_space_is_refused_until_there_is_some() {
    refuses_until_there_is_space(
        "CREATE CONSTRAINT TRIGGER no_space AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION no_space()",
    )
    .await;
}

fn without_redis(site: &Site) -> std::process::Command {
    let mut command = Process::command(site.directory.path());
    command.env("DATABASE_URL", &site.backend.database_url).env("JWT_SECRET", SECRET);
    command.env("BIND", "127.0.0.1:0");
    command
}

#[tokio::test]
async fn a_second_process_without_redis_is_refused_and_takes_over_when_the_first_ends() {
    let site = Site::new().await;
    let first = Process::spawn(without_redis(&site)).await;
    let refused = tokio::task::spawn_blocking({
        let mut command = without_redis(&site);
        move || command.output().unwrap()
    });
    let refused = refused.await.unwrap();
    assert!(!refused.status.success());
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("set REDIS_URL and JWT_SECRET for both"), "{error}");

    let (second, ()) = tokio::join!(Process::spawn(without_redis(&site)), async {
        first.terminate();
    });
    assert!(first.ended().await);
    TestUser::sign_in(second.address, "+14155550123").await;
    second.terminate();
    assert!(second.ended().await);
}

#[tokio::test]
async fn a_process_without_redis_takes_its_lock_again_after_the_database_was_away() {
    let site = Site::new().await;
    let mut process = Process::spawn(without_redis(&site)).await;
    let database = Database::connect(&site.backend.database_url).await.unwrap();
    let held = locks(&database).await;
    assert_eq!(held, 1);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute_unprepared(end).await.unwrap();
    process.says("process lock on the database lost").await;
    let again = async { while locks(&database).await == 0 {} };
    timeout(PATIENCE, again).await.expect("it is not taken again");
    TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.ended().await);
}

async fn locks(database: &DatabaseConnection) -> u64 {
    let locks = "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                 WHERE locktype = 'advisory' AND datname = current_database()";
    database.execute_unprepared(locks).await.unwrap().rows_affected()
}
