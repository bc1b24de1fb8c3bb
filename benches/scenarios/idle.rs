//! Sockets that wait for events of a chatroom: how much memory each takes, and how fast a message reaches all of them.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{ROUNDS, as_f64};
use crate::{
    client::{Connection, Socket},
    installation::{Installation, Servers, User},
    latencies::Latencies,
    model::Answer,
    report::Section,
};

/// How many sockets subscribe to the chatroom of each user: 2,000 in total.
const FOLLOWERS: [usize; 11] = [1000, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100];
/// How many sockets are opened before memory is measured, to warm up pools, caches and the allocator.
const WARM_UP: usize = 100;
/// How many messages are sent in a round, one after the other.
const MESSAGES: usize = 4;
/// Within this time, all subscriptions begin, and the server returns freed memory to the system.
const SETTLE: Duration = Duration::from_secs(2);
const EVENTS: &str = "subscription($id: ID!) { chatroomEvents(chatroomId: $id) { change {
    __typename
    ... on MessageAdded { message { id role } }
    ... on ReplyDelta { cursor text }
    ... on ReplyCompleted { cursor message { id status } }
    ... on ReplyFailed { cursor }
} } }";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    // The reply begins only after the message has reached all sockets, so that it does not delay the message.
    let first_chunk_after = Duration::from_millis(300);
    installation.model.answer_with(Answer { first_chunk_after, chunks: 1, ..Answer::TYPICAL });
    let servers = installation.start(&[]).await;
    let users = servers.sign_in_users(FOLLOWERS.len() + 1, 1).await;
    let (warm_up, users) = users.split_first().unwrap();
    let _warm_up = open(&servers, warm_up, WARM_UP).await;
    sleep(SETTLE).await;
    let before = servers.api.memory();
    let mut followers = Vec::new();
    for (user, count) in users.iter().zip(FOLLOWERS) {
        followers.push(open(&servers, user, count).await);
    }
    sleep(SETTLE).await;
    let opened = FOLLOWERS.iter().sum::<usize>();
    let growth = u32::try_from(servers.api.memory().saturating_sub(before)).unwrap();
    section.add("memory a socket", "bytes", f64::from(growth) / as_f64(opened));
    let (received, mut arrivals) = mpsc::unbounded_channel();
    let readers = followers.into_iter().flatten().map(|socket| tokio::spawn(read(socket, received.clone())));
    let readers: Vec<_> = readers.collect();
    // The chatroom with 1,000 sockets and one with 100.
    for (user, count) in users.iter().zip(FOLLOWERS).take(2) {
        for _ in 0..ROUNDS {
            let mut times = Latencies::default();
            for _ in 0..MESSAGES {
                let mut connection = Connection::open(servers.address()).await;
                let started = Instant::now();
                connection.send_message(&user.token, &user.chatrooms[0], "A question").await;
                for _ in 0..count {
                    let arrived: Instant =
                        timeout(Duration::from_secs(10), arrivals.recv()).await.unwrap().unwrap();
                    times.push(arrived - started);
                }
                installation.wait_until_idle().await;
            }
            section.add(&format!("message to {count} sockets, p50"), "ms", times.percentile(50));
            section.add(&format!("message to {count} sockets, p99"), "ms", times.percentile(99));
        }
    }
    for reader in &readers {
        reader.abort();
    }
    join_all(readers).await;
    servers.stop().await;
}

/// Opens `count` sockets that subscribe to the user's chatroom.
async fn open(servers: &Servers<'_>, user: &User, count: usize) -> Vec<Socket> {
    let opened = stream::iter(0..count).map(async |_| {
        let mut socket = Socket::open(servers.address(), &user.token).await;
        socket.subscribe("1", EVENTS, &json!({"id": user.chatrooms[0]})).await;
        socket
    });
    opened.buffer_unordered(32).collect().await
}

/// Reads events from a socket, and reports the time at which each message of the user arrives.
async fn read(mut socket: Socket, received: mpsc::UnboundedSender<Instant>) {
    loop {
        let frame = socket.next().await;
        assert!(frame.contains(r#""type":"next""#), "{frame}");
        if frame.contains(r#""MessageAdded""#) && frame.contains(r#""USER""#) {
            received.send(Instant::now()).unwrap();
        }
    }
}
