//! How long it takes to list the first chatrooms of a user who has few or many. The list is read from the database each time.

use std::time::Instant;

use serde_json::json;

use super::{ROUNDS, add_cpu};
use crate::{
    client::{Connection, graphql_request},
    installation::Installation,
    latencies::Latencies,
    report::Section,
    rows,
};

const COUNTS: [u32; 3] = [10, 1_000, 10_000];
const QUERIES: usize = 300;
/// The server keeps responses only to queries that select nothing else than the list of chatrooms. This one also selects `me`, so
/// its response is computed each time.
const QUERY: &str = "{
    me { id } chatrooms(first: 20) { nodes { id title updatedAt } pageInfo { hasNextPage endCursor } }
}";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    // Without a cache, every query reads the page from the database.
    let servers = installation.start(&[("CHATROOM_CACHE_TTL", "0")]).await;
    let users = servers.sign_in_users(COUNTS.len(), 0).await;
    let mut connection = Connection::open(servers.address()).await;
    let mut first_number = 0;
    for (count, user) in COUNTS.into_iter().zip(&users) {
        rows::insert_chatrooms(&installation.db, user.id.parse().unwrap(), first_number, count.into()).await;
        first_number += i64::from(count);
        let request = graphql_request(&user.token, QUERY, &json!({}));
        // The first round warms up and is not reported.
        for round in 0..=ROUNDS {
            let mut times = Latencies::default();
            let before = servers.cpu();
            for _ in 0..QUERIES {
                let started = Instant::now();
                connection.call(&request).await;
                times.push(started.elapsed());
            }
            let cpu = [before, servers.cpu()];
            if round == 0 {
                continue;
            }
            section.add(&format!("query, p50, {count} chatrooms"), "ms", times.percentile(50));
            section.add(&format!("query, p99, {count} chatrooms"), "ms", times.percentile(99));
            add_cpu(section, &format!("a query, {count} chatrooms"), cpu, QUERIES);
        }
    }
    servers.stop().await;
}
