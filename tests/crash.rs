//! The promise, with the process killed: whole, once, in order, on every device.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Gate, Script, StandIn, TestUser, process::Process};

/// The same person, on another start of the server.
fn moved(user: &TestUser, process: &Process) -> TestUser {
    TestUser { address: process.address, ..user.clone() }
}

#[tokio::test]
async fn a_killed_servers_reply_is_written_by_the_next_one() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let gate = Gate::closed();
    gemini.answers(Script::new().text("Half an ans").wait(&gate).finish("STOP"));
    gemini.answers(Script::new().text("A whole").wait(&gate).text(" answer").finish("STOP"));
    let process = Process::start(directory.path(), gemini.address).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let room = user.room("x").await;
    let asked = room.ask("hi").await;
    let waiting = room.ask("and?").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    let cursor = follower.cursor.clone();
    process.kill();

    let process = Process::start(directory.path(), gemini.address).await;
    let user = moved(&user, &process);
    let mut follower = user.follow(&asked.reply, Some(&cursor)).await;
    assert_eq!(follower.step().await.as_deref(), Some("ReplyRestarted"));
    assert_eq!(follower.cursor, "2-0");
    gate.open_wide();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "A whole answer");
    assert_eq!(user.read(&waiting.reply).await.text, "Yes.");
    for reply in [&asked.reply, &waiting.reply] {
        assert_eq!(user.message(reply).await["status"], "COMPLETED");
    }
    assert_eq!(user.message(&asked.reply).await["cursor"], "2-14");
    assert_eq!(user.used().await, 2, "two messages, two units");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_lets_its_reply_finish() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let gate = Gate::closed();
    gemini.answers(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let process = Process::start(directory.path(), gemini.address).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut idle = user.socket().await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("To be").await;
    process.terminate();
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "To be or not");
    assert_eq!(idle.close_code().await, 1012, "sockets are told to come again");
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_begins_no_other_reply() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let gate = Gate::closed();
    gemini.answers(Script::new().text("First").wait(&gate).finish("STOP"));
    let one_at_a_time = [("WORKER_CONCURRENCY", "1")];
    let process = Process::start_with(directory.path(), gemini.address, &one_at_a_time).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let first = user.room("x").await.ask("one").await;
    let mut follower = user.follow(&first.reply, None).await;
    follower.until("First").await;
    let second = user.room("y").await.ask("two").await;
    process.terminate();
    process.is_stopping().await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert!(process.ended().await);
    assert_eq!(gemini.calls().len(), 1);
    let process = Process::start(directory.path(), gemini.address).await;
    let mut follower = moved(&user, &process).follow(&second.reply, None).await;
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_second_signal_hands_the_reply_back_and_the_next_server_takes_it_up() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    gemini.answers(Script::new().text("Half").hang());
    let process = Process::start(directory.path(), gemini.address).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    process.terminate();
    // The first has been heard, so that the second is another.
    process.is_stopping().await;
    process.terminate();
    assert!(process.ended().await);

    let process = Process::start(directory.path(), gemini.address).await;
    let mut follower = moved(&user, &process).follow(&asked.reply, Some(&follower.cursor)).await;
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Yes.", 1));
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_reply_that_was_being_stopped_when_the_server_died_is_stopped() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    gemini.answers(Script::new().text("Half").hang());
    let process = Process::start(directory.path(), gemini.address).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    user.follow(&asked.reply, None).await.until("Half").await;
    process.kill();
    // The stop that the dead server had committed and not carried out.
    let url = format!("sqlite://{}", directory.path().join("data/pollux.db").display());
    let database = sea_orm::Database::connect(url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&database, "UPDATE jobs SET stop_requested = 1")
        .await
        .unwrap();
    database.close().await.unwrap();

    let process = Process::start(directory.path(), gemini.address).await;
    let user = moved(&user, &process);
    assert_eq!(user.follow(&asked.reply, None).await.until_the_end().await, "ReplyCancelled");
    assert_eq!(gemini.calls().len(), 1, "the model is not asked again");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn one_database_has_one_server() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let process = Process::start(directory.path(), gemini.address).await;
    let second = Process::command(directory.path()).env("BIND", "127.0.0.1:0").output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("another process is using data/pollux.db"), "{said}");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn the_installations_secret_is_kept_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let process = Process::start(directory.path(), gemini.address).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.ended().await);
    let mode = std::fs::metadata(directory.path().join("data/jwt_secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let process = Process::start(directory.path(), gemini.address).await;
    let me = moved(&user, &process).data("{ me { id } }", json!({})).await;
    assert_eq!(me["me"]["id"], user.id.as_str(), "tokens outlive a restart");
    process.terminate();
    assert!(process.ended().await);
}

#[test]
fn a_setting_that_cannot_work_is_refused_with_a_sentence() {
    let directory = TempDir::new().unwrap();
    for (settings, sentence) in [
        (vec![("BIND", "0.0.0.0:0")], "OTP_DELIVERY=response hands every stranger the code"),
        (vec![("BIND", "0.0.0.0:0"), ("OTP_DELIVERY", "log"), ("RATE_LIMITS", "off")], "RATE_LIMITS=off"),
        (vec![("JWT_SECRET", "short")], "JWT_SECRET is shorter than 32 characters"),
        (vec![("GEMINI_BASE_URL", "gemini")], "GEMINI_BASE_URL"),
        (vec![("GEMINI_MODEL", "../x")], "GEMINI_MODEL"),
        (vec![("CORS_ORIGINS", "chat.example")], "CORS_ORIGINS"),
        (vec![("WORKER_CONCURRENCY", "0")], "--worker-concurrency"),
        (vec![("WORKER_LEASE", "0")], "--worker-lease"),
        (vec![("DATABASE_URL", "mysql://x")], "DATABASE_URL must begin with sqlite: or postgres:"),
    ] {
        let refused = Process::command(directory.path()).envs(settings.clone()).output().unwrap();
        assert!(!refused.status.success(), "{settings:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(sentence), "{settings:?}: {said}");
    }
    for command in ["api", "worker"] {
        let refused = Process::command(directory.path()).arg(command).output().unwrap();
        assert!(String::from_utf8(refused.stderr).unwrap().contains("run `pollux` alone"));
    }
}

#[test]
fn help_names_every_setting_and_no_secret_value() {
    let directory = TempDir::new().unwrap();
    let help =
        Process::command(directory.path()).env("GEMINI_API_KEY", "hush-hush").arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let example = include_str!("../.env.example");
    let names: Vec<&str> = help.split("[env: ").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert!(names.len() > 15);
    for name in names {
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
    }
    assert!(!help.contains("hush-hush"));
}
