//! The cached list of chatrooms: how many queries a second, and what each costs, beside a server that responds with a constant.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

use super::{ROUNDS, add_cpu, number};
use crate::{
    SERVE_CONSTANT,
    client::{Connection, post},
    installation::{Installation, Storage, microseconds},
    latencies::Latencies,
    report::Section,
    support::process::Process,
};

const CONNECTIONS: usize = 32;
const CHATROOMS: usize = 10;
const WARM_UP: Duration = Duration::from_millis(500);
const ROUND: Duration = Duration::from_secs(2);
const QUERY: &str =
    "{ chatrooms(first: 20) { nodes { id title updatedAt } pageInfo { hasNextPage endCursor } } }";

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let users = servers.users(CONNECTIONS, CHATROOMS).await;
    let requests: Vec<_> = users.iter().map(|user| post(&user.token, QUERY, &json!({}))).collect();
    let constant = (section.storage == Storage::Sqlite).then(start_constant);
    let constant = if let Some(starting) = constant { Some(starting.await) } else { None };
    load(servers.address(), &requests, WARM_UP).await;
    for _ in 0..ROUNDS {
        if let Some(constant) = &constant {
            let before = microseconds(constant.cpu());
            let mut times = load(constant.address, &requests, ROUND).await;
            let cpu = microseconds(constant.cpu()) - before;
            section.add_floor("queries", "1/s", number(times.len()) / ROUND.as_secs_f64());
            section.add_floor("p99", "ms", times.percentile(99));
            section.add_floor("CPU of Pollux a query", "µs", cpu / number(times.len()));
        }
        let before = servers.cpu();
        let mut times = load(servers.address(), &requests, ROUND).await;
        let cpu = [before, servers.cpu()];
        section.add("queries", "1/s", number(times.len()) / ROUND.as_secs_f64());
        section.add("p99", "ms", times.percentile(99));
        add_cpu(section, "a query", cpu, times.len());
    }
    servers.stop().await;
}

async fn start_constant() -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(SERVE_CONSTANT);
    Process::spawn(command).await
}

/// Sends each request on a connection of its own, again and again.
async fn load(address: SocketAddr, requests: &[Vec<u8>], duration: Duration) -> Latencies {
    let connections = join_all(requests.iter().map(|_| Connection::open(address))).await;
    let end = Instant::now() + duration;
    let clients = connections.into_iter().zip(requests.to_vec()).map(|(mut connection, request)| {
        tokio::spawn(async move {
            let mut times = Latencies::default();
            while Instant::now() < end {
                let started = Instant::now();
                let size = connection.call(&request).await.len();
                assert!(size > 1000, "{size}");
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
