//! One, a hundred or a thousand sockets follow the same reply: how much CPU time a chunk takes, and how long until it arrives.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use super::{
    ROUNDS, add_cpu,
    stream::{REPLY, Times, follow},
};
use crate::{
    client::{Connection, Socket},
    installation::{Installation, Servers, User},
    latencies::Latencies,
    model::Answer,
    report::Section,
};

/// How many sockets follow a reply, and how many such replies are written at the same time: enough replies to measure their CPU
/// time.
const SIZES: [(usize, usize); 3] = [(1, 100), (100, 5), (1000, 1)];
/// The first chunk comes late enough for all sockets to subscribe before it.
const ANSWER: Answer = Answer {
    first_chunk_after: Duration::from_secs(1),
    chunks: 40,
    gap: Duration::from_millis(50),
    chunk_bytes: 96,
};

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    installation.model.answer_with(ANSWER);
    let servers = installation.start(&[]).await;
    let users = servers.sign_in_users(100, 1).await;
    for (subscribers, replies) in SIZES {
        let users = &users[..replies];
        let owners = users.iter().flat_map(|user| std::iter::repeat_n(user, subscribers));
        let opening = owners.map(|user| Socket::open(servers.address(), &user.token));
        let mut sockets: Vec<Socket> = stream::iter(opening).buffered(32).collect().await;
        for _ in 0..ROUNDS {
            let before = servers.cpu();
            let mut times;
            (sockets, times) = follow_all(&servers, users, sockets).await;
            let cpu = [before, servers.cpu()];
            add_cpu(section, &format!("a chunk to {subscribers}"), cpu, replies * ANSWER.chunks);
            section.add(&format!("chunk to {subscribers}, p50"), "ms", times.percentile(50));
            section.add(&format!("chunk to {subscribers}, p99"), "ms", times.percentile(99));
        }
    }
    servers.stop().await;
}

/// Sends a message of each user, and follows the reply to each message on an equal part of the sockets. Returns the sockets and
/// the times of the chunks.
async fn follow_all(
    servers: &Servers<'_>,
    users: &[User],
    mut sockets: Vec<Socket>,
) -> (Vec<Socket>, Latencies) {
    let started = Instant::now();
    let ids = join_all(users.iter().map(async |user| {
        let mut connection = Connection::open(servers.address()).await;
        connection.send_message(&user.token, &user.chatrooms[0], "A question").await
    }));
    let followers = sockets.len() / users.len();
    for (id, sockets) in ids.await.into_iter().zip(sockets.chunks_mut(followers)) {
        for socket in sockets {
            socket.subscribe("1", REPLY, &json!({ "id": id })).await;
        }
    }
    assert!(started.elapsed() < ANSWER.first_chunk_after, "subscribing took {:?}", started.elapsed());
    let readers = sockets.into_iter().map(|mut socket| {
        tokio::spawn(async move {
            let mut times = Times::default();
            follow(&mut socket, started, &mut times).await;
            // The next subscription uses the same id, which is free only after this message.
            assert!(socket.next().await.contains(r#""type":"complete""#));
            (socket, times.chunks)
        })
    });
    let mut all = (Vec::new(), Latencies::default());
    for reader in join_all(readers).await {
        let (socket, times) = reader.unwrap();
        all.0.push(socket);
        all.1.append(times);
    }
    all
}
