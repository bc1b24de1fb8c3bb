//! Renewing the lease of a job while it runs, and cancelling the run when it is to stop or has lost its claim.

use std::{convert::Infallible, pin::pin, time::Duration};

use entity::job;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::Runner;
use crate::{
    domain::replies::CancelTokens,
    ports::signals::Topic,
    store::jobs::{self, Claim},
};

/// When a job is first checked for a stop that was requested between the claim and the subscription to its signal: most
/// have ended by then, and need no statement at all.
const FIRST_CHECK: Duration = Duration::from_secs(1);

/// Renews the lease three times within its length. Cancels `stop` when the reply's user has requested it, and `claim_lost`
/// when the claim is lost: another worker has claimed the job, it was deleted, or the database has not responded for
/// the whole lease. Never returns: the caller drops it when the job has ended.
pub(super) async fn keep(runner: &Runner, job: &job::Model, cancel: &CancelTokens) -> Infallible {
    let stops = match job.message_id {
        Some(reply) => runner.signals.subscribe(Topic::Stop(reply)).await,
        None => stream::pending().boxed(),
    };
    let lease = runner.settings.worker_lease;
    let claim = Claim::of(job);
    let mut checks = pin!(stream::select(stops, stream::once(sleep(FIRST_CHECK))));
    let interval = lease / 3;
    let mut beats = interval_at(Instant::now() + interval, interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed_at = Instant::now();
    loop {
        tokio::select! {
            // A signal carries nothing.
            Some(()) = checks.next() => {
                match timeout(interval, jobs::stop_requested(runner.db.write(), claim)).await {
                    Ok(Ok(Some(false))) => {}
                    Ok(Ok(Some(true))) => cancel.stop.cancel(),
                    Ok(Ok(None)) => cancel.claim_lost.cancel(),
                    // A heartbeat reads it as well.
                    Ok(Err(_)) | Err(_) => beats.reset_immediately(),
                }
            }
            _ = beats.tick() => {
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
    }
}
