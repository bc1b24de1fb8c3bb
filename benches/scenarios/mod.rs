//! The scenarios. Each starts its own installation on empty storage.

mod account_timing;
mod chatroom_count;
mod chatroom_length;
mod idle;
mod query;
mod queue_length;
mod rejections;
mod search;
mod send;
mod slow_sockets;
mod stream;
mod subscribers;
mod takeover;
mod webhooks;

use crate::{
    installation::{Cpu, Storage},
    report::Section,
};

/// How often each figure is measured. The table shows the median.
const ROUNDS: usize = 3;

/// The names of the scenarios, in the order in which they are measured and printed.
pub const NAMES: &[&str] = &[
    "query",
    "send",
    "stream-100",
    "stream-500",
    "idle",
    "subscribers",
    "chatroom-length",
    "chatroom-count",
    "queue-length",
    "takeover",
    "webhooks",
    "slow-sockets",
    "search",
    "rejections",
    "account-timing",
];

pub async fn measure(name: &str, section: &mut Section<'_>) {
    match name {
        "query" => query::measure(section).await,
        "send" => send::measure(section).await,
        "stream-100" => stream::measure(section, 100).await,
        "stream-500" => stream::measure(section, 500).await,
        "idle" => idle::measure(section).await,
        "subscribers" => subscribers::measure(section).await,
        "chatroom-length" => chatroom_length::measure(section).await,
        "chatroom-count" => chatroom_count::measure(section).await,
        "queue-length" => queue_length::measure(section).await,
        "takeover" => takeover::measure(section).await,
        "webhooks" => webhooks::measure(section).await,
        "slow-sockets" => slow_sockets::measure(section).await,
        "search" => search::measure(section).await,
        "rejections" => rejections::measure(section).await,
        "account-timing" => account_timing::measure(section).await,
        _ => unreachable!("{name} is not in NAMES"),
    }
}

/// Adds the CPU time per operation. `operation` is what the table calls it, such as `a message`; `count` of them were executed
/// between the two measurements.
fn add_cpu(section: &mut Section<'_>, operation: &str, [before, after]: [Cpu; 2], count: usize) {
    let count = as_f64(count);
    let server = (after.server - before.server) / count;
    section.add(&format!("CPU of Pollux {operation}"), "µs", server);
    if section.storage == Storage::Servers {
        let databases = (after.databases - before.databases) / count;
        section.add(&format!("CPU with databases {operation}"), "µs", server + databases);
    }
}

/// The count as a number to calculate with.
fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
