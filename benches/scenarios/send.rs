//! Fifty users who send messages as fast as they are accepted. The model answers at once, so all time is spent in Pollux.

use std::time::Instant;

use futures_util::future::join_all;

use super::{ROUNDS, add_cpu, number};
use crate::{client::Connection, installation::Installation, latencies::Latencies, report::Section};

const USERS: usize = 50;
const MESSAGES: usize = 40;

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    // Each round has chatrooms of its own, so that no prompt is longer than in the round before.
    let users = servers.users(USERS, 1 + ROUNDS).await;
    // The first round warms up and is not reported.
    for round in 0..=ROUNDS {
        let connections = join_all(users.iter().map(|_| Connection::open(servers.address()))).await;
        let before = servers.cpu();
        let started = Instant::now();
        let senders = connections.into_iter().zip(users.iter().cloned()).map(|(connection, user)| {
            tokio::spawn(send(connection, user.token, user.chatrooms[round].clone()))
        });
        let mut times = Latencies::default();
        for sent in join_all(senders).await {
            times.append(sent.unwrap());
        }
        let sent = started.elapsed();
        installation.wait_until_idle().await;
        let written = started.elapsed();
        let cpu = [before, servers.cpu()];
        if round == 0 {
            continue;
        }
        section.add("messages", "1/s", number(times.len()) / sent.as_secs_f64());
        section.add("replies", "1/s", number(times.len()) / written.as_secs_f64());
        section.add("sendMessage, p50", "ms", times.percentile(50));
        section.add("sendMessage, p99", "ms", times.percentile(99));
        add_cpu(section, "a message and its reply", cpu, times.len());
    }
    servers.stop().await;
}

async fn send(mut connection: Connection, token: String, chatroom: String) -> Latencies {
    let mut times = Latencies::default();
    for _ in 0..MESSAGES {
        let started = Instant::now();
        connection.send_message(&token, &chatroom, "A question").await;
        times.push(started.elapsed());
    }
    times
}
