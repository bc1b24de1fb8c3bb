//! Runs two API nodes, three workers and a hundred clients while processes are killed, paused and restarted and Redis is
//! flushed. Finally, each reply is checked twice: as it is stored in the database, and as its client assembled it from events.
//!
//! Run it with `make chaos SECONDS=120 SEED=7`. It prints the seed and how many replies are lost, duplicated, reordered and
//! stuck. It fails unless these four counts are 0 and the used quota equals the number of accepted messages.
//!
//! `make rolling-upgrade OLD=v0.1.0` injects no faults. It upgrades the processes one by one from an earlier release, downgrades
//! them, and upgrades them again. No mutation may fail then, and no reply may restart.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

mod client;
mod cluster;
#[path = "../support/mod.rs"]
mod support;
mod text;
mod verdict;

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use tokio::time::{Instant, timeout_at};

use client::Client;
use cluster::{Cluster, Scenario};
use support::requirements::require_servers;

/// The time within which all clients and jobs must finish after the last fault. A worker of an earlier release postpones a job
/// whose kind it does not know by a minute.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(2);

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Random by default.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// Only restarts the nodes one by one with SIGTERM.
    #[arg(long)]
    rolling: bool,
    /// The binary of an earlier release. Only upgrades from it, downgrades to it, and upgrades from it again, one node after the
    /// other.
    #[arg(long, conflicts_with_all = ["rolling", "seconds"])]
    upgrade_from: Option<PathBuf>,
}

impl Cli {
    fn scenario(&self) -> Scenario {
        match &self.upgrade_from {
            Some(from) => Scenario::Upgrade { from: from.clone() },
            None if self.rolling => Scenario::Restarts,
            None => Scenario::Faults,
        }
    }
}

fn main() {
    let cli = Cli::parse();
    require_servers!();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let has_passed = runtime.block_on(run(&cli));
    runtime.shutdown_background();
    assert!(has_passed, "replies are missing or incomplete");
}

async fn run(cli: &Cli) -> bool {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let (scenario, started) = (cli.scenario(), Instant::now());
    println!("seed {seed}: {} clients", cli.clients);
    let mut cluster = Cluster::start(seed, &scenario).await;
    let mut tasks = Vec::new();
    for number in 0..cli.clients {
        let client = Client::sign_in(number, seed, cluster.nodes(), scenario.is_graceful()).await;
        tasks.push(tokio::spawn(client.chat(cluster.stop_clients())));
    }
    let end = Instant::now() + Duration::from_secs(cli.seconds);
    cluster.play(&scenario, end).await;
    let deadline = Instant::now() + RECOVERY_TIMEOUT;
    // Contains `None` for a client that has not finished in time.
    let mut chats = Vec::new();
    for task in tasks {
        chats.push(timeout_at(deadline, task).await.map(Result::unwrap).ok());
    }
    let verdict = verdict::check_replies(&chats, &cluster, deadline).await;
    println!("seed {seed}, {} s: {} | {verdict}", started.elapsed().as_secs(), cluster.describe_faults());
    cluster.stop().await;
    verdict.has_passed(scenario.is_graceful())
}
