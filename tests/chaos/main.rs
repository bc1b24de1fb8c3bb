//! Two API nodes, three workers and a hundred clients, while everything is killed, paused, flushed and restarted; in the end
//! every reply is compared with the database and with what its client assembled.
//!
//! `make chaos SECONDS=120 SEED=7`. It prints the seed and five figures, and fails unless they are 0, 0, 0, 0 and equal.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

mod client;
mod cluster;
#[path = "../support/mod.rs"]
mod support;
mod text;
mod verdict;

use std::time::Duration;

use clap::Parser;
use tokio::time::{Instant, timeout_at};

use client::Client;
use cluster::Cluster;

/// How long everything may take to come to its end once nothing is harmed any more.
const RECOVERS_WITHIN: Duration = Duration::from_mins(1);

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// By chance without one.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// Restarts nodes one by one with SIGTERM, and harms nothing.
    #[arg(long)]
    rolling: bool,
}

fn main() {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let good = runtime.block_on(run(&cli));
    runtime.shutdown_background();
    assert!(good, "the promise is broken");
}

async fn run(cli: &Cli) -> bool {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}: {} clients, {} seconds", cli.clients, cli.seconds);
    let mut cluster = Cluster::start(seed, cli.rolling).await;
    let mut tasks = Vec::new();
    for number in 0..cli.clients {
        let client = Client::sign_in(number, seed, cluster.nodes(), cli.rolling).await;
        tasks.push(tokio::spawn(client.chat(cluster.until())));
    }
    let end = Instant::now() + Duration::from_secs(cli.seconds);
    cluster.suffer(end, cli.rolling).await;
    let limit = Instant::now() + RECOVERS_WITHIN;
    let mut chats = Vec::new();
    for task in tasks {
        chats.push(timeout_at(limit, task).await.map(Result::unwrap).ok());
    }
    let verdict = verdict::of(&chats, &cluster, limit).await;
    println!("seed {seed}, {} s: {} | {verdict}", cli.seconds, cluster.suffered());
    cluster.stop().await;
    verdict.is_good(cli.rolling)
}
