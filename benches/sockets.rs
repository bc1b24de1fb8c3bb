//! Measures the server's memory per socket: for idle sockets with one subscription each, and for sockets that do not read
//! while a reply is streamed to them for half a minute.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;
use support::{Backend, Gate, Script, TestUser, process::Deployment, socket::Socket, user::REPLY_STREAM};

const COUNTS: [usize; 2] = [2000, 5000];
/// The number of sockets that do not read.
const SLOW: usize = 50;
/// A reply of the maximum length, streamed in half a minute.
const CHUNKS: usize = 512;
const CHUNK: usize = 1024;
const BETWEEN: Duration = Duration::from_millis(57);

#[tokio::main]
async fn main() {
    let shared = Backend::servers().is_some();
    println!("{}", if shared { "PostgreSQL + Redis" } else { "SQLite + memory" });
    let deployment = Deployment::new().await;
    let server = deployment.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let anonymous = TestUser::anonymous(server.address);
    // Warms up pools, caches and the allocator.
    let mut sockets = open(&anonymous, 0, 100).await;
    for count in COUNTS {
        let (count_before, memory_before) = (sockets.len(), server.memory());
        let more = open(&anonymous, count_before, count).await;
        sockets.extend(more);
        let opened = sockets.len() - count_before;
        let each = (server.memory() - memory_before) / opened as u64;
        println!(
            "{} sockets: {opened} more, {each} bytes each; the server has {} MiB",
            sockets.len(),
            server.memory() >> 20
        );
    }
    drop(sockets);
    server.terminate();
    assert!(server.wait_for_exit().await);
    // First with one reader only, and then with sockets that do not read.
    let alone = measure_stream(&deployment, 0).await;
    let with_slow = measure_stream(&deployment, SLOW).await;
    let each = with_slow.saturating_sub(alone) / SLOW as u64;
    println!("{SLOW} sockets that do not read a reply of 512 KiB: {} KiB each", each >> 10);
}

async fn open(anonymous: &TestUser, from: usize, to: usize) -> Vec<Socket> {
    let opened = stream::iter(from..to).map(async |number| {
        let user = anonymous.sign_in_as(&format!("+1212{}", 2_000_000 + number)).await;
        let mut socket = user.socket().await;
        socket.subscribe("1", "subscription { accountEvents { usage { used } } }", &json!({})).await;
        socket.next().await.unwrap();
        socket
    });
    opened.buffer_unordered(16).collect().await
}

/// Streams a reply to one reader and to `slow` sockets that do not read, and returns by how much the memory of a new server
/// grows. Afterwards the slow sockets read the whole reply.
async fn measure_stream(deployment: &Deployment, slow: usize) -> u64 {
    let server = deployment.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let chunk = "x".repeat(CHUNK);
    let begin = Gate::closed();
    let script = (0..CHUNKS).fold(Script::new().wait(&begin), |script, _| script.text(&chunk).pause(BETWEEN));
    deployment.gemini.enqueue(script.finish("STOP"));
    let user = TestUser::sign_in(server.address, &format!("+1313{}", 2_000_000 + slow)).await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut reader = follow(user.socket().await, &sent.reply).await;
    let mut followers = Vec::new();
    for _ in 0..slow {
        followers.push(
            follow(Socket::connect_with_small_buffer(server.address, &user.token).await, &sent.reply).await,
        );
    }
    let before = server.memory();
    begin.open();
    let started = Instant::now();
    let text = read(&mut reader).await;
    assert_eq!(text.len(), CHUNKS * CHUNK);
    let (duration, after) = (started.elapsed(), server.memory());
    println!("streamed in {:.1} s with {slow} sockets that do not read", duration.as_secs_f64());
    for follower in &mut followers {
        assert!(read(follower).await == text);
    }
    server.terminate();
    assert!(server.wait_for_exit().await);
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
