//! Queued replies that wait for a worker: how long a claim takes, and how fast a worker writes the replies of a long queue.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use pollux::{
    clock::Clock,
    store::jobs::{ClaimTerms, claim},
};

use super::{ROUNDS, add_cpu};
use crate::{
    installation::{Cpu, Installation},
    latencies::Latencies,
    report::Section,
    rows,
};

const LENGTHS: [u32; 4] = [10, 1_000, 10_000, 100_000];
/// The length of the queue whose replies a server also writes.
const WRITTEN: u32 = 10_000;
/// A round ends after this many claims, or after a second.
const CLAIMS: usize = 20;

pub async fn measure(section: &mut Section<'_>) {
    for length in LENGTHS {
        let installation = Installation::create(section.storage).await;
        rows::insert_queued_replies(&installation.db, length.into()).await;
        // The first round warms up and is not reported.
        for round in 0..=ROUNDS {
            let mut times = claim_repeatedly(&installation).await;
            if round > 0 {
                section.add(&format!("claim of one job, {length} jobs"), "ms", times.percentile(50));
            }
        }
        if length == WRITTEN {
            write_replies(section, &installation, length).await;
        }
    }
}

async fn claim_repeatedly(installation: &Installation) -> Latencies {
    let mut times = Latencies::default();
    let round_started = Instant::now();
    while times.len() < CLAIMS && round_started.elapsed() < Duration::from_secs(1) {
        let now = Clock::system().now();
        let leased_until = now + TimeDelta::seconds(30);
        let started = Instant::now();
        let terms = ClaimTerms { now, leased_until, limit: 1, basic_cap: 2, pro_cap: 5 };
        assert_eq!(claim(&installation.db, terms).await.unwrap().len(), 1);
        times.push(started.elapsed());
        rows::release_jobs(&installation.db).await;
    }
    times
}

/// Starts a server, and measures how fast it writes all replies of the queue.
async fn write_replies(section: &mut Section<'_>, installation: &Installation, length: u32) {
    // The server's processes have not started yet, so their CPU time is zero.
    let before = Cpu { server: 0.0, databases: installation.database_cpu() };
    let started = Instant::now();
    let servers = installation.start(&[]).await;
    installation.wait_until_idle().await;
    let rate = f64::from(length) / started.elapsed().as_secs_f64();
    section.add(&format!("replies of {length} queued jobs"), "1/s", rate);
    add_cpu(section, "a queued reply", [before, servers.cpu()], length as usize);
    servers.stop().await;
}
