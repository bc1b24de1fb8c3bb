//! Searches of a user with 100,000 messages: for words that many, few or no messages contain, for the beginning of words, for
//! several words, and in one chatroom.

use std::time::Instant;

use pollux::domain::search::backfill;
use serde_json::{Value, json};

use super::{ROUNDS, as_f64};
use crate::{
    client::{Connection, graphql_request},
    installation::Installation,
    latencies::Latencies,
    report::Section,
    rows,
};

const MESSAGES: usize = 100_000;
const SEARCHES: usize = 30;
const SEARCH: &str = "query($query: String!, $chatroomId: ID) {
    search(query: $query, chatroomId: $chatroomId) {
        edges { cursor snippet highlights { start end } node { id content } } pageInfo { hasNextPage }
    }
}";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let user = servers.sign_in_users(1, 2).await.remove(0);
    let (owner, chatroom) = (user.id.parse().unwrap(), user.chatrooms[0].parse().unwrap());
    rows::insert_varied_messages(&installation.db, owner, chatroom, MESSAGES).await;
    rows::start_backfill(&installation.db).await;
    let started = Instant::now();
    while backfill(&installation.db).await.unwrap() {}
    let indexing_secs = started.elapsed().as_secs_f64();
    section.add("messages indexed after an upgrade", "1/s", as_f64(MESSAGES) / indexing_secs);
    rows::analyze(&installation.db).await;
    let mut connection = Connection::open(servers.address()).await;
    for (name, is_found, variables) in [
        ("a word of most messages", true, json!({"query": "w0x"})),
        ("a word of 600 messages", true, json!({"query": "w999x"})),
        ("a word of 60 messages", true, json!({"query": "w9999x"})),
        ("the beginning of many words", true, json!({"query": "w1"})),
        ("three words", true, json!({"query": "w0x w1x w2"})),
        ("a word, in one chatroom", true, json!({"query": "w0x", "chatroomId": user.chatrooms[0]})),
        ("a word that no message contains", false, json!({"query": "nothing"})),
    ] {
        let request = graphql_request(&user.token, SEARCH, &variables);
        // The first round warms up and is not reported.
        for round in 0..=ROUNDS {
            let mut times = Latencies::default();
            for _ in 0..SEARCHES {
                let started = Instant::now();
                let response = connection.call(&request).await;
                times.push(started.elapsed());
                let response: Value = serde_json::from_slice(response).unwrap();
                assert_ne!(response["data"]["search"]["edges"] == json!([]), is_found, "{name}");
            }
            if round > 0 {
                section.add(&format!("{name}, p50"), "ms", times.percentile(50));
                section.add(&format!("{name}, p99"), "ms", times.percentile(99));
            }
        }
    }
    servers.stop().await;
}
