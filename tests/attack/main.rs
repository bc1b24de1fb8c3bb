//! Runs known attacks against a server while a well-behaved user chats. After each attack the server must respond at once; in
//! the end it must have released its memory and lost no accepted message. Run by `make attack`.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

mod attacks;
mod background_user;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Script, TestUser, process::Deployment};

use attacks::Target;
use background_user::BackgroundUser;

/// The maximum resident memory of the server.
const MAX_RESIDENT_MEMORY: u64 = 512 * 1024 * 1024;
/// The maximum response time after an attack.
const MAX_RESPONSE_TIME: Duration = Duration::from_millis(100);
/// The time within which the server must release the memory of the attacks.
const RELEASE_TIMEOUT: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() {
    let deployment = Deployment::new().await;
    let long_text = "x".repeat(512 * 1024);
    deployment.gemini.respond_with(move |body| {
        let is_long = body["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"] == "long";
        Script::new().text(if is_long { &long_text } else { "Hello" }).finish("STOP")
    });
    let settings = [("BASIC_DAILY_LIMIT", "1000000")];
    let server = deployment.start_with(&[], &settings).await;
    let target = Target::prepare(server.address).await;
    let user = TestUser::sign_in(server.address, "+14155550199").await;
    target.warm_up().await;
    let memory_before = server.memory();
    println!("before: {} MiB", memory_before >> 20);
    let background = BackgroundUser::start(user).await;

    target.send_expensive_queries(&server).await;
    for attack in attacks::ATTACKS {
        let started = Instant::now();
        target.run(attack).await;
        let responded_in = target.measure_response_time().await;
        println!(
            "{attack:?}: {:.1} s, then a response in {:.1} ms; {} MiB at the most, {} MiB now; the slowest of the other \
             user's calls {} ms",
            started.elapsed().as_secs_f64(),
            responded_in.as_secs_f64() * 1e3,
            server.peak_memory() >> 20,
            server.memory() >> 20,
            background.take_slowest().as_millis(),
        );
        assert!(responded_in <= MAX_RESPONSE_TIME, "the server responds too slowly");
        assert!(server.peak_memory() <= MAX_RESIDENT_MEMORY, "the server used too much memory");
    }

    let deadline = Instant::now() + RELEASE_TIMEOUT;
    while server.memory() > memory_before * 3 / 2 {
        assert!(Instant::now() < deadline, "{} MiB are not released", server.memory() >> 20);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("after release: {} MiB", server.memory() >> 20);
    // Accepted messages must survive a killed server.
    let accepted = background.stop().await;
    server.kill();
    let server = deployment.start_with(&[], &settings).await;
    let missing = accepted.count_missing(server.address).await;
    println!("{} messages accepted, {missing} missing after SIGKILL", accepted.messages.len());
    assert_eq!(missing, 0, "accepted messages are missing");
    assert!(accepted.messages.len() > 20, "the well-behaved user was blocked");
    server.terminate();
    assert!(server.wait_for_exit().await, "the server exited with an error");
}
