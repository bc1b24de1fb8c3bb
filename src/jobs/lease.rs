//! Renewing the lease of a job while it runs, and cancelling the run when it is to stop or has lost its claim.

use std::convert::Infallible;

use entity::job;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Runner;
use crate::{
    domain::replies::CancelTokens,
    store::jobs::{self, Claim},
};

/// Renews the lease three times within its length. Cancels `stop` if the reply's user has requested it, and `claim_lost`
/// when the claim is lost: another worker has claimed the job, it was deleted, or the database has not responded for
/// the whole lease. Never returns: the caller drops it when the job has ended.
pub(super) async fn keep(runner: &Runner, job: &job::Model, cancel: &CancelTokens) -> Infallible {
    let lease = runner.settings.worker_lease;
    let claim = Claim::of(job);
    let interval = lease / 3;
    let mut beats = interval_at(Instant::now() + interval, interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed_at = Instant::now();
    loop {
        beats.tick().await;
        // Before the statement is sent: the lease runs from then at the earliest.
        let sent_at = Instant::now();
        let beat = jobs::heartbeat(runner.db.write(), claim, runner.clock.now() + lease);
        // A connection that was cut yields no error.
        match timeout(interval, beat).await {
            Ok(Ok(Some(stop_requested))) => {
                renewed_at = sent_at;
                if stop_requested {
                    cancel.stop.cancel();
                }
            }
            Ok(Ok(None)) => cancel.claim_lost.cancel(),
            Ok(Err(error)) => tracing::warn!(job = %job.id, %error, "heartbeat failed"),
            Err(_) => tracing::warn!(job = %job.id, "heartbeat timed out"),
        }
        if renewed_at.elapsed() >= lease {
            cancel.claim_lost.cancel();
        }
    }
}
