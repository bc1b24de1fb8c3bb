//! How long a reply stands still when its worker goes: killed, so that its lease has to run out, and asked to stop without
//! any grace, so that it hands its replies back.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Backend, Script, TestUser, process::Site, user::REPLY_STREAM};

#[tokio::main]
async fn main() {
    if Backend::servers().is_none() {
        println!("another worker takes over: run it by tests/with-servers");
        return;
    }
    for signal in ["KILL", "TERM"] {
        let stood_still = taken_over(signal).await;
        println!(
            "SIG{signal} of a worker in the middle: ReplyRestarted after {:.3} s",
            stood_still.as_secs_f64()
        );
    }
}

async fn taken_over(signal: &str) -> Duration {
    let site = Site::new().await;
    // As they are by default, but for the grace.
    let settings = [("WORKER_LEASE", "30"), ("SHUTDOWN_GRACE", "0")];
    let api = site.start_with(&["api"], &settings).await;
    let first = site.start_with(&["worker"], &settings).await;
    site.gemini.answers(Script::new().text("Half an ans").hang());
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut socket = user.socket().await;
    socket.subscribe("1", REPLY_STREAM, &json!({"id": asked.reply})).await;
    while !socket.next().await.unwrap().to_string().contains("Half") {}
    let second = site.start_with(&["worker"], &settings).await;
    first.signal(signal);
    let gone = Instant::now();
    while !socket.next_within(Duration::from_mins(1)).await.unwrap().to_string().contains("ReplyRestarted") {}
    let stood_still = gone.elapsed();
    drop(first);
    for process in [api, second] {
        process.terminate();
        assert!(process.ended().await);
    }
    stood_still
}
