//! Attacks on a running server by clients that ask for much and read nothing, while an honest user goes on chatting. Afterwards
//! the server answers at once, has given its memory back and has everything that it accepted. `make attack`.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

mod attacks;
mod honest;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Script, TestUser, process::Site};

use attacks::Target;
use honest::Honest;

/// The most that the server may ever have in memory.
const PEAK: u64 = 512 * 1024 * 1024;
/// How long it may take to answer once an attack is over.
const ANSWERED_WITHIN: Duration = Duration::from_millis(100);
/// How long it may take to give memory back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() {
    let site = Site::new().await;
    let half = "x".repeat(512 * 1024);
    site.gemini.answers_by(move |body| {
        let is_long = body["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"] == "long";
        Script::new().text(if is_long { &half } else { "Hello" }).finish("STOP")
    });
    let settings = [("BASIC_DAILY_LIMIT", "1000000")];
    let server = site.start_with(&[], &settings).await;
    let target = Target::prepare(server.address).await;
    let honest = TestUser::sign_in(server.address, "+14155550199").await;
    target.ordinary_use().await;
    let before = server.memory();
    println!("before: {} MiB", before >> 20);
    let honest = Honest::start(honest).await;

    target.expensive_queries(&server).await;
    for attack in attacks::ATTACKS {
        let begun = Instant::now();
        target.run(attack).await;
        let answered = target.answer_time().await;
        println!(
            "{attack:?}: {:.1} s, then an answer in {:.1} ms; {} MiB at the most, {} MiB now; the slowest of the honest \
             user's calls {} ms",
            begun.elapsed().as_secs_f64(),
            answered.as_secs_f64() * 1e3,
            server.peak() >> 20,
            server.memory() >> 20,
            honest.slowest().as_millis(),
        );
        assert!(answered <= ANSWERED_WITHIN, "the server answers late");
        assert!(server.peak() <= PEAK, "the server took too much memory");
    }

    let until = Instant::now() + GIVEN_BACK_WITHIN;
    while server.memory() > before * 3 / 2 {
        assert!(Instant::now() < until, "{} MiB are kept", server.memory() >> 20);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("given back: {} MiB", server.memory() >> 20);
    let accepted = honest.stop().await;
    server.kill();
    let server = site.start_with(&[], &settings).await;
    let found = accepted.missing(server.address).await;
    println!("{} messages accepted, {found} missing after SIGKILL", accepted.messages.len());
    assert_eq!(found, 0, "what was accepted is missing");
    assert!(accepted.messages.len() > 20, "the honest user was kept out");
    server.terminate();
    assert!(server.ended().await, "the server did not end well");
}
