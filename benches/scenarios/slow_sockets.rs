//! Sockets that do not read while a long reply is streamed to them: how much memory each takes, and that none loses text.

use std::time::Duration;

use serde_json::{Value, json};

use super::stream::REPLY;
use crate::{
    client::{Connection, Socket},
    installation::Installation,
    model::Answer,
    report::Section,
};

const SLOW: u32 = 50;
/// A reply of half a mebibyte.
const ANSWER: Answer =
    Answer { first: Duration::from_millis(500), chunks: 256, gap: Duration::from_millis(30), bytes: 2048 };

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    installation.model.answer_with(ANSWER);
    // First with one reader only, and then with sockets that do not read.
    let alone = measure_growth(&installation, 0).await;
    let with_slow = measure_growth(&installation, SLOW).await;
    section.add("memory a socket that does not read", "KiB", (with_slow - alone) / 1024.0 / f64::from(SLOW));
}

/// By how many bytes the memory of a new server grows while it streams a reply to one reader and to `slow` sockets that do not
/// read. Afterwards the slow sockets read the whole reply.
async fn measure_growth(installation: &Installation, slow: u32) -> f64 {
    let servers = installation.start(&[]).await;
    let user = servers.users(1, 1).await.remove(0);
    let mut connection = Connection::open(servers.address()).await;
    let mut reader = Socket::open(servers.address(), &user.token).await;
    let mut followers = Vec::new();
    for _ in 0..slow {
        followers.push(Socket::open_with_small_buffer(servers.address(), &user.token).await);
    }
    let reply = connection.send_message(&user.token, &user.chatrooms[0], "A question").await;
    for socket in followers.iter_mut().chain([&mut reader]) {
        socket.subscribe("1", REPLY, &json!({ "id": reply })).await;
    }
    let before = servers.api.memory();
    read(&mut reader).await;
    let after = servers.api.memory();
    for socket in &mut followers {
        read(socket).await;
    }
    servers.stop().await;
    f64::from(u32::try_from(after).unwrap()) - f64::from(u32::try_from(before).unwrap())
}

/// Reads the whole reply.
async fn read(socket: &mut Socket) {
    let mut length = 0;
    loop {
        let frame: Value = serde_json::from_str(&socket.next().await).unwrap();
        let event = &frame["payload"]["data"]["replyStream"];
        match event["__typename"].as_str() {
            Some("ReplyDelta") => length += event["text"].as_str().unwrap().len(),
            Some("ReplyCompleted") => return assert_eq!(length, ANSWER.chunks * ANSWER.bytes),
            _ => panic!("{frame}"),
        }
    }
}
