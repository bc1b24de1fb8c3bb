//! Periodic tasks. Every worker runs each of them, so a task must tolerate that several processes run it at the same time.

mod checkpoint;
mod housekeeping;
mod reconcile;
mod search_index;

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    domain::{billing::Billing, chatrooms::Chatrooms},
    error::Result,
};

/// Starts every periodic task. After `soft` is cancelled, which begins a graceful shutdown, each task ends as soon as its current
/// run has ended. Tasks whose runs may be long also receive the token, and end such a run early.
pub(super) fn spawn(chatrooms: &Chatrooms, billing: &Billing, tasks: &TaskTracker, soft: &CancellationToken) {
    let (chatrooms, db, billing) = (chatrooms.clone(), chatrooms.db.clone(), billing.clone());
    let (checkpoint_db, backfill_db) = (db.clone(), db.clone());
    let (reconcile_soft, index_soft, backfill_soft) = (soft.clone(), soft.clone(), soft.clone());
    let reconcile_interval = billing.stale_poll_interval;
    let housekeeping = every(housekeeping::INTERVAL, "housekeeping", soft.clone(), move || {
        housekeeping::run(chatrooms.clone())
    });
    let checkpoint = every(checkpoint::INTERVAL, "checkpoint", soft.clone(), move || {
        checkpoint::run(checkpoint_db.clone())
    });
    let reconcile = every(reconcile_interval, "reconcile", soft.clone(), move || {
        reconcile::run(billing.clone(), reconcile_soft.clone())
    });
    let index = every(search_index::INTERVAL, "search index", soft.clone(), move || {
        search_index::run(db.clone(), index_soft.clone())
    });
    let backfill = every(search_index::BACKFILL_INTERVAL, "search backfill", soft.clone(), move || {
        search_index::run_backfill(backfill_db.clone(), backfill_soft.clone())
    });
    tasks.spawn(housekeeping);
    tasks.spawn(checkpoint);
    tasks.spawn(reconcile);
    tasks.spawn(index);
    tasks.spawn(backfill);
}

/// Waits for the interval, runs `task`, and repeats both until `soft` is cancelled. A failed run is only logged.
async fn every<F: Future<Output = Result<()>> + Send>(
    interval: Duration,
    name: &'static str,
    soft: CancellationToken,
    task: impl Fn() -> F + Send,
) {
    while soft.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        if let Err(error) = task().await {
            tracing::warn!(task = name, ?error, "periodic task failed");
        }
    }
}
