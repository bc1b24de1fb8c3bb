//! Keeping a claim alive while its job runs, and hearing that it is to stop.

use std::{convert::Infallible, time::Duration};

use entity::job;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::{
    domain::chat::{CancelTokens, Chat},
    ports::signals::Topic,
    store::jobs::{self, Claim},
};

/// Renews the lease three times in its length, and passes on a request to stop and the loss of the claim: another worker
/// has the job, it is gone, or the database was silent for the whole lease. Never returns: the job ends by itself.
pub(super) async fn keep(chat: &Chat, job: &job::Model, lease: Duration, cues: &CancelTokens) -> Infallible {
    let mut stops = match job.message_id {
        Some(reply) => chat.signals.subscribe(Topic::Stop(reply)).await,
        None => stream::pending().boxed(),
    };
    let claim = Claim { job: job.id, attempt: job.attempt };
    // The first at once: a stop may have been asked for between the claim and the listening.
    let mut beats = interval_at(Instant::now(), lease / 3);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            // The heartbeat reads whether it is so.
            Some(()) = stops.next() => beats.reset_immediately(),
            _ = beats.tick() => {
                // From before it is sent: the lease runs from then at the earliest.
                let sent = Instant::now();
                let beat = jobs::heartbeat(chat.db.write(), claim, chat.clock.now() + lease);
                // A connection that was cut says nothing.
                match timeout(lease / 3, beat).await {
                    Ok(Ok(Some(stop_requested))) => {
                        renewed = sent;
                        if stop_requested {
                            cues.stop.cancel();
                        }
                    }
                    Ok(Ok(None)) => cues.claim_lost.cancel(),
                    Ok(Err(error)) => tracing::warn!(job = %job.id, %error, "a heartbeat failed"),
                    Err(_) => tracing::warn!(job = %job.id, "a heartbeat got no answer"),
                }
                if renewed.elapsed() >= lease {
                    cues.claim_lost.cancel();
                }
            }
        }
    }
}
