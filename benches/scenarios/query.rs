//! The cached list of chatrooms: how many queries Pollux answers in a second, and how much CPU time each takes, compared with a
//! server that responds with a constant.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use super::{ROUNDS, add_cpu, as_f64};
use crate::{
    SERVE_CONSTANT,
    client::{Connection, graphql_request},
    installation::{Installation, Storage, microseconds},
    latencies::Latencies,
    report::Section,
    support::process::Process,
};

const CONNECTIONS: usize = 32;
const CHATROOMS: usize = 10;
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a round lasts.
const ROUND: Duration = Duration::from_secs(2);
const QUERY: &str =
    "{ chatrooms(first: 20) { nodes { id title updatedAt } pageInfo { hasNextPage endCursor } } }";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let users = servers.sign_in_users(CONNECTIONS, CHATROOMS).await;
    let requests: Vec<_> = users.iter().map(|user| graphql_request(&user.token, QUERY, &json!({}))).collect();
    // The floor does not depend on the storage, so it is measured once.
    let constant = if section.storage == Storage::Sqlite { Some(start_constant().await) } else { None };
    load(servers.address(), &requests, WARM_UP).await;
    for _ in 0..ROUNDS {
        if let Some(constant) = &constant {
            let before = microseconds(constant.cpu());
            let mut times = load(constant.address, &requests, ROUND).await;
            let cpu = microseconds(constant.cpu()) - before;
            section.add_floor("queries", "1/s", as_f64(times.len()) / ROUND.as_secs_f64());
            section.add_floor("p99", "ms", times.percentile(99));
            // In this column, it is the CPU time of the constant server.
            section.add_floor("CPU of Pollux a query", "µs", cpu / as_f64(times.len()));
        }
        let before = servers.cpu();
        let mut times = load(servers.address(), &requests, ROUND).await;
        let cpu = [before, servers.cpu()];
        section.add("queries", "1/s", as_f64(times.len()) / ROUND.as_secs_f64());
        section.add("p99", "ms", times.percentile(99));
        add_cpu(section, "a query", cpu, times.len());
    }
    servers.stop().await;
}

/// Starts this program as the server of the constant response.
async fn start_constant() -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(SERVE_CONSTANT);
    Process::spawn(command).await
}

/// Sends each request on its own connection, repeatedly for this long. Returns the response times.
async fn load(address: SocketAddr, requests: &[Vec<u8>], duration: Duration) -> Latencies {
    let connections = join_all(requests.iter().map(|_| Connection::open(address))).await;
    let end = Instant::now() + duration;
    let clients = connections.into_iter().zip(requests.to_vec()).map(|(mut connection, request)| {
        tokio::spawn(async move {
            let mut times = Latencies::default();
            while Instant::now() < end {
                let started = Instant::now();
                let size = connection.call(&request).await.len();
                assert!(size > 1000, "the list cannot be complete in {size} bytes");
                times.push(started.elapsed());
            }
            times
        })
    });
    let mut all = Latencies::default();
    for times in join_all(clients).await {
        all.append(times.unwrap());
    }
    all
}
