//! How long a reply is interrupted in two cases: its worker is killed, so that its lease must expire; or its worker is stopped
//! without grace, so that it releases its replies at once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stream::REPLY;
use crate::{
    client::{Connection, Socket},
    installation::{Installation, Storage},
    model::Answer,
    report::Section,
};

/// A reply that is written for longer than its lease.
const ANSWER: Answer = Answer {
    first_chunk_after: Duration::ZERO,
    chunks: 80,
    gap: Duration::from_millis(500),
    chunk_bytes: 96,
};

pub async fn measure(section: &mut Section<'_>) {
    // There is only one process on SQLite, so no other worker can take over.
    if section.storage == Storage::Sqlite {
        return;
    }
    for (signal, name) in
        [("TERM", "after SIGTERM without grace"), ("KILL", "after SIGKILL, with a lease of 30 s")]
    {
        let interruption = measure_interruption(section.storage, signal).await;
        section.add(&format!("interruption {name}"), "s", interruption.as_secs_f64());
    }
}

/// Sends the signal to the worker during a reply. Returns the time until the subscriber receives `ReplyRestarted` from another
/// worker.
async fn measure_interruption(storage: Storage, signal: &str) -> Duration {
    let installation = Installation::create(storage).await;
    installation.model.answer_with(ANSWER);
    let servers = installation.start(&[("SHUTDOWN_GRACE", "0")]).await;
    let user = servers.sign_in_users(1, 1).await.remove(0);
    let mut connection = Connection::open(servers.address()).await;
    let mut socket = Socket::open(servers.address(), &user.token).await;
    let reply = connection.send_message(&user.token, &user.chatrooms[0], "A question").await;
    socket.subscribe("1", REPLY, &json!({ "id": reply })).await;
    while !socket.next().await.contains(r#""ReplyDelta""#) {}
    let successor = installation.start_process(&["worker"], &[("SHUTDOWN_GRACE", "0")]).await;
    servers.worker.as_ref().unwrap().signal(signal);
    let signalled_at = Instant::now();
    while !socket.next().await.contains(r#""ReplyRestarted""#) {}
    let interruption = signalled_at.elapsed();
    successor.kill();
    interruption
}
