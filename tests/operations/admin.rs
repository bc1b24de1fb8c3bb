//! `pollux admin` while servers run on the same database.

use std::time::{Duration, Instant};

use entity::job;
use pollux::{clock::Clock, store::jobs};
use sea_orm::Database;
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestUser,
    process::{Deployment, Process, on_process},
    user::{SEND_OTP, VERIFY_OTP},
};

const NUMBER: &str = "+14155550123";
const ME: &str = "{ me { usage { used limit } } }";

/// Runs an admin command that must succeed, and parses its output. Blocks this thread, while other threads run the test's tasks.
async fn admin(deployment: &Deployment, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["admin", "--json"].iter().chain(arguments).copied().collect();
    serde_json::from_str(&tokio::task::block_in_place(|| deployment.output(&all))).unwrap()
}

/// Runs an admin command that changes something, with the reason that it requires.
async fn change(deployment: &Deployment, arguments: &[&str]) -> Value {
    let all: Vec<&str> = arguments.iter().chain(&["--reason", "ticket 7"]).copied().collect();
    admin(deployment, &all).await
}

async fn start() -> (Deployment, Process, TestUser) {
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, NUMBER).await;
    (deployment, process, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_a_user_closes_an_open_socket_within_a_second_and_rejects_sign_ins() {
    let (deployment, process, user) = start().await;
    // With Redis, the socket is connected to another node.
    let node = if deployment.backend.redis_url.is_some() {
        Some(deployment.start_with(&["api"], &[]).await)
    } else {
        None
    };
    let user = node.as_ref().map_or(user.clone(), |node| on_process(&user, node));
    let mut socket = user.socket().await;
    let blocked = change(&deployment, &["block", NUMBER]).await;
    let blocked_at = Instant::now();
    assert_eq!(blocked, json!({"user": user.id, "blocked": true, "sessionsEnded": 1}));
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert!(blocked_at.elapsed() < Duration::from_secs(1), "{:?}", blocked_at.elapsed());
    assert_eq!(user.error_code("{ sessions { id } }", json!({})).await, "UNAUTHENTICATED");
    assert!(admin(&deployment, &["user", NUMBER]).await["blockedAt"].is_string());

    change(&deployment, &["unblock", &user.id]).await;
    assert!(admin(&deployment, &["user", NUMBER]).await["blockedAt"].is_null());
    let audit = admin(&deployment, &["audit", "--user", NUMBER]).await;
    let actions: Vec<_> =
        audit.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["unblock", "block"]);
    assert_eq!(
        (&audit[1]["reason"], audit[1]["actor"].as_str().unwrap().is_empty()),
        (&json!("ticket 7"), false)
    );
    process.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_user_cannot_sign_in() {
    let deployment = Deployment::new().await;
    let process = deployment.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    TestUser::sign_in(process.address, NUMBER).await;
    change(&deployment, &["block", NUMBER]).await;
    let anonymous = TestUser::anonymous(process.address);
    let otp = anonymous.data(SEND_OTP, json!({ "phone": NUMBER })).await["sendOtp"]["otp"].clone();
    let rejected = anonymous.execute(VERIFY_OTP, json!({"phone": NUMBER, "otp": otp})).await;
    assert_eq!(rejected["errors"][0]["message"], "The account is blocked.");
    change(&deployment, &["unblock", NUMBER]).await;
    anonymous.data(VERIFY_OTP, json!({"phone": NUMBER, "otp": otp})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_sessions_closes_their_sockets_and_leaves_no_session() {
    let (deployment, process, user) = start().await;
    let mut socket = user.socket().await;
    assert_eq!(change(&deployment, &["revoke-sessions", NUMBER]).await["sessionsEnded"], 1);
    assert_eq!(socket.close_code().await, 4403);
    assert_eq!(admin(&deployment, &["user", &user.id]).await["sessions"], json!([]));
    drop(process);
}

#[tokio::test(flavor = "multi_thread")]
async fn granted_pro_takes_effect_at_once_and_can_be_ended() {
    let (deployment, _process, user) = start().await;
    let mut socket = user.socket().await;
    let query = "subscription { accountEvents { subscription { tier } usage { limit } } }";
    socket.subscribe("account", query, &json!({})).await;
    let tier = |event: &Value| event["payload"]["data"]["accountEvents"]["subscription"]["tier"].clone();
    assert_eq!(tier(&socket.next().await.unwrap()), "BASIC");
    let until = (Clock::system().now() + chrono::TimeDelta::days(30)).format("%Y-%m-%d").to_string();
    change(&deployment, &["grant-pro", NUMBER, "--until", &until]).await;
    assert_eq!(tier(&socket.next().await.unwrap()), "PRO");
    assert_eq!(user.data(ME, json!({})).await["me"]["usage"]["limit"], Value::Null);
    let report = admin(&deployment, &["user", NUMBER]).await;
    assert_eq!((&report["tier"], &report["stripeCustomer"]), (&json!("PRO"), &Value::Null));
    assert_eq!(change(&deployment, &["end-pro", NUMBER]).await["proUntil"], Value::Null);
    assert_eq!(tier(&socket.next().await.unwrap()), "BASIC");
    let past = deployment.run(&["admin", "grant-pro", NUMBER, "--until", "2020-01-01", "--reason", "x"]);
    assert!(!past.status.success());
    assert!(String::from_utf8(past.stderr).unwrap().contains("until must be a time in the next 3660 days"));
    // The erasure of a user without a Stripe customer needs no Stripe.
    change(&deployment, &["erase", NUMBER, "--yes"]).await;
    assert_eq!(socket.close_code().await, 4403);
    let gone = deployment.run(&["admin", "user", NUMBER]);
    assert!(String::from_utf8(gone.stderr).unwrap().contains("there is no such user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_quota_reset_the_user_can_send_again() {
    let deployment = Deployment::new().await;
    let process = deployment.start_with(&[], &[("BASIC_DAILY_LIMIT", "1")]).await;
    let user = TestUser::sign_in(process.address, NUMBER).await;
    let chatroom = user.create_chatroom("x").await;
    chatroom.send("one").await;
    chatroom.try_send(json!({"content": "two"})).await.unwrap_err();
    assert_eq!(admin(&deployment, &["user", NUMBER]).await["promptsUsedToday"], 1);
    change(&deployment, &["reset-quota", NUMBER]).await;
    let sent = chatroom.send("two").await;
    user.read(&sent.reply).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_a_user_requires_a_confirmation() {
    let (deployment, _process, user) = start().await;
    let output = deployment.run(&["admin", "erase", NUMBER, "--reason", "x"]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("add --yes to confirm"));
    user.data(ME, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_jobs_are_listed_and_can_be_retried_or_dropped() {
    let (deployment, _process, user) = start().await;
    let database = Database::connect(&deployment.backend.database_url).await.unwrap();
    let later = Clock::system().now() + chrono::TimeDelta::days(1);
    // A failed job that would be retried tomorrow. This release does not know its kind, so that its workers keep it.
    let failed = job::Model { failures: 3, run_at: later, ..jobs::new("of_a_newer_release", later) };
    jobs::insert(&database, failed.clone()).await.unwrap();
    let id = failed.id.to_string();
    let listed = admin(&deployment, &["jobs"]).await;
    assert_eq!(
        (&listed[0]["id"], &listed[0]["failures"], &listed[0]["state"]),
        (&json!(id), &json!(3), &json!("scheduled"))
    );
    change(&deployment, &["retry-job", &id]).await;
    assert_eq!(admin(&deployment, &["audit"]).await[0]["subject"], format!("of_a_newer_release {id}"));
    change(&deployment, &["drop-job", &id]).await;
    assert_eq!(admin(&deployment, &["jobs"]).await, json!([]));

    // Dropping the job of a running reply fails the reply, refunds its quota and ends the attempt of its worker.
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("Half").wait(&gate).finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    let report = admin(&deployment, &["user", NUMBER]).await;
    let running = report["jobs"][0].clone();
    assert_eq!((&running["kind"], &running["state"]), (&json!("reply"), &json!("running")));
    assert_eq!(admin(&deployment, &["queue"]).await[0]["claimed"], 1);
    change(&deployment, &["drop-job", running["id"].as_str().unwrap()]).await;
    gate.open();
    let message = loop {
        let message = user.message(&sent.reply).await;
        if message["status"] == "FAILED" {
            break message;
        }
    };
    assert_eq!(message["failure"]["message"], "An operator ended this reply.");
    assert_eq!(user.used().await, 0);
    assert_eq!(admin(&deployment, &["stats"]).await["repliesFailedInLastDay"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_json_option_commands_print_tables() {
    let (deployment, _process, user) = start().await;
    let table = tokio::task::block_in_place(|| deployment.output(&["admin", "user", NUMBER]));
    assert!(table.contains(&user.id) && table.contains("\nsessions\n"), "{table}");
    assert_eq!(tokio::task::block_in_place(|| deployment.output(&["admin", "audit"])), "none\n");
    let unknown = deployment.run(&["admin", "user", "unknown"]);
    assert!(
        String::from_utf8(unknown.stderr).unwrap().contains("neither the id of a user nor a phone number")
    );
}
