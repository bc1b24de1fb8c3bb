//! A message in a chatroom with many messages, and queries of the newest ones and of the first one: their cost must not grow with
//! the conversation, except for the longer prompt.

use std::time::Instant;

use serde_json::json;

use super::{
    ROUNDS, add_cpu,
    stream::{REPLY, Times, follow},
};
use crate::{
    client::{Connection, Socket, graphql_request},
    installation::Installation,
    latencies::Latencies,
    model::Answer,
    report::Section,
    rows,
};

/// The number of messages in a chatroom, and the number of such chatrooms. The messages that are measured are spread over these
/// chatrooms, so that none of them becomes much longer.
const LENGTHS: [(u32, usize); 4] = [(10, 100), (1_000, 10), (10_000, 1), (100_000, 1)];
/// How many messages are sent in a round.
const MESSAGES: usize = 100;
/// How many queries of each kind are sent in a round.
const QUERIES: usize = 100;
const QUERY_DOCUMENTS: [(&str, &str); 2] = [
    (
        "the newest 20",
        "query($id: ID!) { chatroom(id: $id) { title messages(last: 20) { nodes { id role content } } } }",
    ),
    (
        "the first's alternatives",
        "query($id: ID!) { chatroom(id: $id) { messages(first: 1) { nodes { alternatives { id content } } } } }",
    ),
];

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    installation.model.answer_with(Answer { chunks: 2, ..Answer::IMMEDIATE });
    let servers = installation.start(&[]).await;
    let users = servers.sign_in_users(1, LENGTHS.iter().map(|(_, count)| count).sum()).await;
    let user = &users[0];
    let mut chatrooms = &user.chatrooms[..];
    let mut connection = Connection::open(servers.address()).await;
    let mut socket = Socket::open(servers.address(), &user.token).await;
    let mut first_number = 0;
    for (length, count) in LENGTHS {
        let (measured, remaining) = chatrooms.split_at(count);
        chatrooms = remaining;
        for chatroom in measured {
            let (owner, chatroom) = (user.id.parse().unwrap(), chatroom.parse().unwrap());
            rows::insert_messages(&installation.db, owner, chatroom, first_number, length.into()).await;
            first_number += i64::from(length);
        }
        rows::analyze(&installation.db).await;
        // The first round warms up and is not reported.
        for round in 0..=ROUNDS {
            let mut sent = Latencies::default();
            let mut times = Times::default();
            let before = servers.cpu();
            for chatroom in measured.iter().cycle().take(MESSAGES) {
                let started = Instant::now();
                let reply = connection.send_message(&user.token, chatroom, "A question").await;
                sent.push(started.elapsed());
                socket.subscribe("1", REPLY, &json!({ "id": reply })).await;
                follow(&mut socket, started, &mut times).await;
                // The next subscription uses the same id, which is free only after this message.
                assert!(socket.next().await.contains(r#""type":"complete""#));
            }
            let cpu = [before, servers.cpu()];
            let mut queries = QUERY_DOCUMENTS.map(|(name, _)| (name, Latencies::default()));
            for ((_, document), (_, latencies)) in QUERY_DOCUMENTS.iter().zip(&mut queries) {
                for chatroom in measured.iter().cycle().take(QUERIES) {
                    let request = graphql_request(&user.token, document, &json!({ "id": chatroom }));
                    let started = Instant::now();
                    connection.call(&request).await;
                    latencies.push(started.elapsed());
                }
            }
            if round == 0 {
                continue;
            }
            section.add(&format!("sendMessage, p50, {length} messages"), "ms", sent.percentile(50));
            section.add(
                &format!("first delta, p50, {length} messages"),
                "ms",
                times.first_deltas.percentile(50),
            );
            add_cpu(section, &format!("a message and its reply, {length} messages"), cpu, MESSAGES);
            for (name, latencies) in &mut queries {
                section.add(
                    &format!("query of {name}, p50, {length} messages"),
                    "ms",
                    latencies.percentile(50),
                );
            }
        }
    }
    servers.stop().await;
}
