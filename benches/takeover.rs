//! Measures how long a reply is interrupted when its worker is killed, so that its lease must expire, and when the worker is
//! stopped without grace, so that it releases its replies.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Backend, Script, TestUser, process::Deployment, user::REPLY_STREAM};

#[tokio::main]
async fn main() {
    if Backend::servers().is_none() {
        println!("skipped: needs PostgreSQL and Redis. Run it with tests/with-servers");
        return;
    }
    for signal in ["KILL", "TERM"] {
        let interruption = measure(signal).await;
        println!(
            "SIG{signal} of a worker during a reply: ReplyRestarted after {:.3} s",
            interruption.as_secs_f64()
        );
    }
}

async fn measure(signal: &str) -> Duration {
    let deployment = Deployment::new().await;
    // The defaults, except for the grace.
    let settings = [("WORKER_LEASE", "30"), ("SHUTDOWN_GRACE", "0")];
    let api = deployment.start_with(&["api"], &settings).await;
    let first = deployment.start_with(&["worker"], &settings).await;
    deployment.gemini.enqueue(Script::new().text("Half an ans").hang());
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut socket = user.socket().await;
    socket.subscribe("1", REPLY_STREAM, &json!({"id": sent.reply})).await;
    while !socket.next().await.unwrap().to_string().contains("Half") {}
    let second = deployment.start_with(&["worker"], &settings).await;
    first.signal(signal);
    let signalled = Instant::now();
    while !socket.next_within(Duration::from_mins(1)).await.unwrap().to_string().contains("ReplyRestarted") {}
    let interruption = signalled.elapsed();
    drop(first);
    for process in [api, second] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
    interruption
}
