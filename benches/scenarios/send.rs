//! Fifty users send messages as fast as the server accepts them. The model answers at once, so all time is spent in Pollux.

use std::time::Instant;

use futures_util::future::join_all;

use super::{ROUNDS, add_cpu, as_f64};
use crate::{client::Connection, installation::Installation, latencies::Latencies, report::Section};

const USERS: usize = 50;
/// How many messages each user sends in a round.
const MESSAGES: usize = 40;

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    // Each round has its own chatrooms, so that prompts do not grow from round to round.
    let users = servers.sign_in_users(USERS, 1 + ROUNDS).await;
    // The first round warms up and is not reported.
    for round in 0..=ROUNDS {
        let connections = join_all(users.iter().map(|_| Connection::open(servers.address()))).await;
        let before = servers.cpu();
        let started = Instant::now();
        let senders = connections.into_iter().zip(users.iter().cloned()).map(|(connection, user)| {
            tokio::spawn(send(connection, user.token, user.chatrooms[round].clone()))
        });
        let mut times = Latencies::default();
        for sender_times in join_all(senders).await {
            times.append(sender_times.unwrap());
        }
        let sending_took = started.elapsed();
        installation.wait_until_idle().await;
        let replying_took = started.elapsed();
        let cpu = [before, servers.cpu()];
        if round == 0 {
            continue;
        }
        section.add("messages", "1/s", as_f64(times.len()) / sending_took.as_secs_f64());
        section.add("replies", "1/s", as_f64(times.len()) / replying_took.as_secs_f64());
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
