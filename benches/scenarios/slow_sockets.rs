//! Sockets that do not read while a long reply is streamed to them: how much memory each takes. Afterwards each must receive the
//! whole reply.

use std::time::Duration;

use serde_json::{Value, json};

use super::stream::REPLY;
use crate::{
    client::{Connection, Socket},
    installation::Installation,
    model::Answer,
    report::Section,
};

/// How many sockets do not read.
const SLOW_SOCKETS: u32 = 50;
/// A reply of 512 KiB.
const ANSWER: Answer = Answer {
    first_chunk_after: Duration::from_millis(500),
    chunks: 256,
    gap: Duration::from_millis(30),
    chunk_bytes: 2048,
};

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    installation.model.answer_with(ANSWER);
    let without_slow_sockets = measure_growth(&installation, 0).await;
    let with_slow_sockets = measure_growth(&installation, SLOW_SOCKETS).await;
    let bytes = (with_slow_sockets - without_slow_sockets) / f64::from(SLOW_SOCKETS);
    section.add("memory a socket that does not read", "KiB", bytes / 1024.0);
}

/// Starts a server, and returns by how many bytes its memory grows while it streams a reply to one socket that reads and to
/// `slow_sockets` that do not. Afterwards these read the whole reply.
async fn measure_growth(installation: &Installation, slow_sockets: u32) -> f64 {
    let servers = installation.start(&[]).await;
    let user = servers.sign_in_users(1, 1).await.remove(0);
    let mut connection = Connection::open(servers.address()).await;
    let mut reader = Socket::open(servers.address(), &user.token).await;
    let mut slow = Vec::new();
    for _ in 0..slow_sockets {
        slow.push(Socket::open_with_small_buffer(servers.address(), &user.token).await);
    }
    let reply = connection.send_message(&user.token, &user.chatrooms[0], "A question").await;
    for socket in slow.iter_mut().chain([&mut reader]) {
        socket.subscribe("1", REPLY, &json!({ "id": reply })).await;
    }
    let before = servers.api.memory();
    read(&mut reader).await;
    let after = servers.api.memory();
    for socket in &mut slow {
        read(socket).await;
    }
    servers.stop().await;
    f64::from(u32::try_from(after).unwrap()) - f64::from(u32::try_from(before).unwrap())
}

/// Reads the reply to its end, and checks the length of its text.
async fn read(socket: &mut Socket) {
    let mut length = 0;
    loop {
        let frame: Value = serde_json::from_str(&socket.next().await).unwrap();
        let event = &frame["payload"]["data"]["replyStream"];
        match event["__typename"].as_str() {
            Some("ReplyDelta") => length += event["text"].as_str().unwrap().len(),
            Some("ReplyCompleted") => return assert_eq!(length, ANSWER.chunks * ANSWER.chunk_bytes),
            _ => panic!("{frame}"),
        }
    }
}
