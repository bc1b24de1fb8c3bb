//! PostgreSQL on a full disk, the connection on which a statement runs, and the lock by which a process without Redis keeps a
//! second one off its PostgreSQL database.

use pollux::{
    config::Role,
    store::{AdvisoryLock, Db},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    Backend, TestApp, TestUser,
    app::{TestOptions, config},
    backend::SECRET,
    code_of,
    process::{Deployment, Process},
    requirements::require_servers,
    socket::TEST_TIMEOUT,
};

async fn ready(user: &TestUser) -> u16 {
    let response = user.http.get(format!("http://{}/health/ready", user.address)).send().await.unwrap();
    response.status().as_u16()
}

async fn wait_for_ready_status(user: &TestUser, status: u16) {
    let ready = async { while ready(user).await != status {} };
    timeout(TEST_TIMEOUT, ready).await.unwrap_or_else(|_| panic!("/health/ready did not become {status}"));
}

/// Creates a function that raises the error which PostgreSQL returns when it cannot extend a file.
const CREATE_NO_SPACE_FUNCTION: &str = "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$";
const FAIL_WRITE_CHECKS: &str = "CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON write_checks
    FOR EACH ROW EXECUTE FUNCTION no_space()";

/// Checks that messages are rejected while the statement `fail_messages` and the failing write checks simulate a full disk, and
/// that they are accepted afterwards.
async fn fails_until_space_is_available(fail_messages: &str) {
    let app = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let database = Database::connect(&app.backend.database_url).await.unwrap();
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    wait_for_ready_status(&user, 200).await;
    for statement in [CREATE_NO_SPACE_FUNCTION, FAIL_WRITE_CHECKS, fail_messages] {
        database.execute_unprepared(statement).await.unwrap();
    }
    for _ in 0..3 {
        let rejected = chatroom.try_send(json!({"content": "hi", "idempotencyKey": "k"})).await.unwrap_err();
        assert_eq!(code_of(&rejected), "INTERNAL_SERVER_ERROR");
    }
    wait_for_ready_status(&user, 503).await;
    database.execute_unprepared("DROP FUNCTION no_space() CASCADE").await.unwrap();
    wait_for_ready_status(&user, 200).await;
    let sent = chatroom.try_send(json!({"content": "hi", "idempotencyKey": "k"})).await.unwrap();
    assert_eq!(sent.used, 1, "a rejected message is not charged");
    assert_eq!(chatroom.branch().await.len(), 2);
    app.shut_down().await;
}

#[tokio::test]
async fn a_statement_on_a_full_disk_fails_until_space_is_available() {
    require_servers!();
    fails_until_space_is_available(
        "CREATE TRIGGER no_space BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION no_space()",
    )
    .await;
}

#[tokio::test]
async fn a_commit_on_a_full_disk_fails_until_space_is_available() {
    require_servers!();
    fails_until_space_is_available(
        "CREATE CONSTRAINT TRIGGER no_space AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION no_space()",
    )
    .await;
}

/// The id of the server's process that serves this connection.
async fn server_process(connection: &impl ConnectionTrait) -> i32 {
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid() AS id");
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get("", "id").unwrap()
}

#[tokio::test]
async fn a_statement_runs_on_the_idle_connection_that_was_opened_first() {
    require_servers!();
    let directory = tempfile::TempDir::new().unwrap();
    let backend = Backend::create(directory.path()).await;
    let settings = config(&[&format!("--database-url={}", backend.database_url)]).database;
    let db = Db::open(&settings).await.unwrap();
    let (first, second) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let opened_first = server_process(&first).await;
    assert_ne!(server_process(&second).await, opened_first);
    first.rollback().await.unwrap();
    second.rollback().await.unwrap();
    assert_eq!(server_process(db.read()).await, opened_first, "the other connection was used last");
    db.close().await;
}

fn command_without_redis(deployment: &Deployment) -> std::process::Command {
    let mut command = Process::command(deployment.directory.path());
    command.env("DATABASE_URL", &deployment.backend.database_url).env("JWT_SECRET", SECRET);
    command.env("BIND", "127.0.0.1:0");
    command
}

#[tokio::test]
async fn a_second_process_without_redis_is_rejected_and_starts_after_the_first_ends() {
    require_servers!();
    let deployment = Deployment::new().await;
    let first = Process::spawn(command_without_redis(&deployment)).await;
    let output = tokio::task::spawn_blocking({
        let mut command = command_without_redis(&deployment);
        move || command.output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("set REDIS_URL and JWT_SECRET for both"), "{error}");

    let (second, ()) = tokio::join!(Process::spawn(command_without_redis(&deployment)), async {
        first.terminate();
    });
    assert!(first.wait_for_exit().await);
    TestUser::sign_in(second.address, "+14155550123").await;
    second.terminate();
    assert!(second.wait_for_exit().await);
}

#[tokio::test]
async fn a_process_without_redis_reacquires_its_lock_after_a_database_outage() {
    require_servers!();
    let deployment = Deployment::new().await;
    let mut process = Process::spawn(command_without_redis(&deployment)).await;
    let database = Database::connect(&deployment.backend.database_url).await.unwrap();
    assert_eq!(process_locks(&database).await, 1);
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    assert_eq!(user.follow(&sent.reply, None).await.read_to_end().await, "ReplyCompleted");
    let terminate_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute_unprepared(terminate_sessions).await.unwrap();
    process.wait_for_log("process lock on the database lost").await;
    let reacquired = async { while process_locks(&database).await == 0 {} };
    timeout(TEST_TIMEOUT, reacquired).await.expect("the lock was not reacquired");
    let sent = user.create_chatroom("y").await.send("hi").await;
    assert_eq!(user.follow(&sent.reply, None).await.read_to_end().await, "ReplyCompleted");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

/// How many sessions hold the process lock.
async fn process_locks(database: &DatabaseConnection) -> u64 {
    let locks = format!(
        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
         WHERE locktype = 'advisory' AND granted AND datname = current_database()
           AND (classid::bigint << 32 | objid::bigint) = {}",
        AdvisoryLock::Process as i64
    );
    database.execute_unprepared(&locks).await.unwrap().rows_affected()
}
