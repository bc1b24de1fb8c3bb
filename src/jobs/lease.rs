//! Renewing the lease of a job while it runs, and cancelling the run when a stop is requested or the claim is lost.

use std::convert::Infallible;

use entity::job;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Runner;
use crate::{
    domain::replies::CancelTokens,
    store::jobs::{self, Claim},
};

/// Renews the lease each time a third of it has passed. Cancels `stop` if the user has requested that the reply stops, and
/// `claim_lost` when the claim is lost: another worker has claimed the job, the job was deleted, or no renewal has succeeded for
/// the whole lease. Never returns: the caller drops the future when the job has ended.
pub(super) async fn keep(runner: &Runner, job: &job::Model, cancel: &CancelTokens) -> Infallible {
    let lease = runner.settings.worker_lease;
    let claim = Claim::of(job);
    let interval = lease / 3;
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed_at = Instant::now();
    loop {
        ticks.tick().await;
        // Taken before the lease's new end is computed, so that the lease in the database does not end before the one assumed
        // here.
        let sent_at = Instant::now();
        let heartbeat = jobs::heartbeat(runner.db.write(), claim, runner.clock.now() + lease);
        // Without the timeout, a statement on a broken connection would wait forever.
        match timeout(interval, heartbeat).await {
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
