//! What sockets cost the server in memory: idle ones with one subscription, each with a user of its own, and such as do not
//! read for half a minute while the reply that they follow is streamed to them.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;
use support::{Backend, Gate, Script, TestUser, process::Site, socket::Socket, user::REPLY_STREAM};

const COUNTS: [usize; 2] = [2000, 5000];
const SLOW: usize = 50;
/// A reply as long as any may be, in half a minute.
const CHUNKS: usize = 512;
const CHUNK: usize = 1024;
const BETWEEN: Duration = Duration::from_millis(57);

#[tokio::main]
async fn main() {
    let shared = Backend::servers().is_some();
    println!("{}", if shared { "PostgreSQL + Redis" } else { "SQLite + memory" });
    let site = Site::new().await;
    let server = site.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let stranger = TestUser::stranger(server.address);
    // What the first ones cost once: pools, caches, the allocator's own.
    let mut sockets = open(&stranger, 0, 100).await;
    for count in COUNTS {
        let before = (sockets.len(), server.memory());
        let more = open(&stranger, before.0, count).await;
        sockets.extend(more);
        let opened = sockets.len() - before.0;
        let each = (server.memory() - before.1) / opened as u64;
        println!(
            "{} sockets: {opened} more, {each} bytes each; the server has {} MiB",
            sockets.len(),
            server.memory() >> 20
        );
    }
    drop(sockets);
    server.terminate();
    assert!(server.ended().await);
    // The reply itself and who reads it, and then with those who do not.
    let alone = streamed(&site, 0).await;
    let with_slow = streamed(&site, SLOW).await;
    let each = with_slow.saturating_sub(alone) / SLOW as u64;
    println!("{SLOW} readers that read nothing of a reply of 512 KiB: {} KiB each", each >> 10);
}

async fn open(stranger: &TestUser, from: usize, to: usize) -> Vec<Socket> {
    let opened = stream::iter(from..to).map(async |number| {
        let user = stranger.signed_in(&format!("+1212{}", 2_000_000 + number)).await;
        let mut socket = user.socket().await;
        socket.subscribe("1", "subscription { accountEvents { usage { used } } }", &json!({})).await;
        socket.next().await.unwrap();
        socket
    });
    opened.buffer_unordered(16).collect().await
}

/// By how much a server that has done nothing else grows while a reply is streamed to one who reads it and to so many who do
/// not; in the end those read it, too, whole.
async fn streamed(site: &Site, slow: usize) -> u64 {
    let server = site.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let chunk = "x".repeat(CHUNK);
    let begin = Gate::closed();
    let script = (0..CHUNKS).fold(Script::new().wait(&begin), |script, _| script.text(&chunk).pause(BETWEEN));
    site.gemini.answers(script.finish("STOP"));
    let user = TestUser::sign_in(server.address, &format!("+1313{}", 2_000_000 + slow)).await;
    let asked = user.room("x").await.ask("hi").await;
    let mut reader = follow(user.socket().await, &asked.reply).await;
    let mut followers = Vec::new();
    for _ in 0..slow {
        followers.push(follow(Socket::narrow(server.address, &user.token).await, &asked.reply).await);
    }
    let before = server.memory();
    begin.open();
    let begun = Instant::now();
    let text = read(&mut reader).await;
    assert_eq!(text.len(), CHUNKS * CHUNK);
    let (took, after) = (begun.elapsed(), server.memory());
    println!("streamed beside {slow} who do not read in {:.1} s", took.as_secs_f64());
    for follower in &mut followers {
        assert!(read(follower).await == text);
    }
    server.terminate();
    assert!(server.ended().await);
    after.saturating_sub(before)
}

async fn follow(mut socket: Socket, reply: &str) -> Socket {
    socket.subscribe("1", REPLY_STREAM, &json!({ "id": reply })).await;
    socket
}

async fn read(socket: &mut Socket) -> String {
    let mut text = String::new();
    loop {
        let message = socket.next().await.unwrap();
        if message["type"] == "complete" {
            return text;
        }
        text.push_str(message["payload"]["data"]["replyStream"]["text"].as_str().unwrap_or_default());
    }
}
