//! The benchmark. It measures release binaries on SQLite + memory (one process) and on PostgreSQL + Redis (an API process and a
//! worker process), and prints one Markdown table. BENCHMARKS.md explains each figure.
//!
//! ```text
//!  this process                        child processes
//!  ┌──────────────────┐  HTTP, WebSocket  ┌────────┐
//!  │ load generator   │ ────────────────► │ Pollux │ ──► PostgreSQL, Redis
//!  │ model stand-in   │ ◄──────────────── │        │     (of `tests/with-servers`)
//!  └────────┬─────────┘   model calls     └────────┘
//!           └── HTTP ──► constant response (the floor of `query`)
//! ```
//!
//! The arguments are the names of the scenarios to measure; without arguments, all are measured.

#![allow(clippy::unwrap_used, reason = "the benchmark ends at the first failure")]
#![allow(clippy::disallowed_methods, reason = "the benchmark awaits its tasks, or they end with it")]

#[path = "../tests/support/mod.rs"]
mod support;

mod client;
mod constant;
mod installation;
mod latencies;
mod machine;
mod model;
mod report;
mod rows;
mod scenarios;

use installation::Storage;
use report::Report;
use support::Backend;

/// With this argument, the program serves the constant response instead of measuring.
const SERVE_CONSTANT: &str = "serve-constant";

#[tokio::main]
async fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments == [SERVE_CONSTANT] {
        return constant::serve().await;
    }
    let unknown: Vec<_> = arguments.iter().filter(|name| !scenarios::NAMES.contains(&&***name)).collect();
    assert!(
        unknown.is_empty(),
        "unknown scenarios {unknown:?}; the scenarios are {}",
        scenarios::NAMES.join(", ")
    );
    let mut storages = vec![Storage::Sqlite];
    if Backend::servers().is_some() {
        storages.push(Storage::Servers);
    } else {
        eprintln!(
            "measuring SQLite + memory only; run the benchmark with tests/with-servers to measure PostgreSQL + Redis, too"
        );
    }
    let mut report = Report::default();
    for name in scenarios::NAMES {
        if !arguments.is_empty() && !arguments.iter().any(|selected| selected == name) {
            continue;
        }
        for &storage in &storages {
            eprintln!("{name} on {}", storage.name());
            scenarios::measure(name, &mut report.section(name, storage)).await;
        }
    }
    println!("{}\n\n{report}", machine::description(&arguments));
}
