//! What runs on a schedule, in every worker. Each task may run in several processes at once.

mod checkpoint;
mod housekeeping;
mod reconcile;

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{clock::Clock, domain::billing::Billing, error::Result, store::Db};

/// Starts every periodic task. Each ends after `soft`, once the run that is under way has ended.
pub(super) fn spawn(
    db: &Db,
    clock: &Clock,
    billing: &Billing,
    tasks: &TaskTracker,
    soft: &CancellationToken,
) {
    let (kept, db, clock) = (db.clone(), db.clone(), clock.clone());
    let (billing, stopping) = (billing.clone(), soft.clone());
    let interval = billing.stale_poll_interval;
    let housekeeping = every(housekeeping::INTERVAL, "housekeeping", soft.clone(), move || {
        housekeeping::run(kept.clone(), clock.clone())
    });
    let checkpoint =
        every(checkpoint::INTERVAL, "checkpoint", soft.clone(), move || checkpoint::run(db.clone()));
    let reconcile =
        every(interval, "reconcile", soft.clone(), move || reconcile::run(billing.clone(), stopping.clone()));
    tasks.spawn(housekeeping);
    tasks.spawn(checkpoint);
    tasks.spawn(reconcile);
}

/// Runs `task` after each interval; a run that fails is logged, and the next one is due an interval later.
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
