//! What sockets cost the server in memory: idle ones with one subscription, each with a user of its own, and such as do not
//! read for half a minute while the reply that they follow is streamed to them.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;
use support::{
    Backend, Gate, Script, TestUser,
    process::{Process, Site},
    socket::Socket,
};

const COUNTS: [usize; 2] = [2000, 5000];
const SLOW: usize = 50;
/// A reply of 1 MiB, four times what a model gives at most, in half a minute.
const CHUNKS: usize = 1024;
const CHUNK: usize = 1024;
const BETWEEN: Duration = Duration::from_millis(28);

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
    // The reply itself, and who reads it.
    let alone = streamed(&site, &server, 0).await;
    let with_slow = streamed(&site, &server, SLOW).await;
    let each = with_slow.saturating_sub(alone) / SLOW as u64;
    println!("{SLOW} readers that read nothing of a reply of 1 MiB: {} KiB each", each >> 10);
    server.terminate();
    assert!(server.ended().await);
}

async fn open(stranger: &TestUser, from: usize, to: usize) -> Vec<Socket> {
    let opened = stream::iter(from..to).map(async |number| {
        let user = stranger.signed_in(&format!("+1212{number:07}")).await;
        let mut socket = user.socket().await;
        socket.subscribe("1", "subscription { accountEvents { usage { used } } }", &json!({})).await;
        socket.next().await.unwrap();
        socket
    });
    opened.buffer_unordered(16).collect().await
}

/// By how much the server grows while a reply is streamed to one who reads it and to so many who do not; in the end those
/// read it, too, whole.
async fn streamed(site: &Site, server: &Process, slow: usize) -> u64 {
    let chunk = "x".repeat(CHUNK);
    let begin = Gate::closed();
    let script = (0..CHUNKS).fold(Script::new().wait(&begin), |script, _| script.text(&chunk).pause(BETWEEN));
    site.gemini.answers(script.finish("STOP"));
    let user = TestUser::sign_in(server.address, &format!("+1313{slow:07}")).await;
    let asked = user.room("x").await.ask("hi").await;
    let mut reader = follow(&user, &asked.reply).await;
    let mut followers = Vec::new();
    for _ in 0..slow {
        followers.push(follow(&user, &asked.reply).await);
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
    after.saturating_sub(before)
}

async fn follow(user: &TestUser, reply: &str) -> Socket {
    let query =
        "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { cursor text } } }";
    let mut socket = user.socket().await;
    socket.subscribe("1", query, &json!({ "id": reply })).await;
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
