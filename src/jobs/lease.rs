//! Keeping a claim alive while its job runs, and hearing that it is to stop.

use std::{convert::Infallible, time::Duration};

use entity::job;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    domain::chat::{Chat, reply::Cues},
    ports::signals::Topic,
    store::jobs::{self, Claim},
};

/// Renews the lease three times in its length, and passes on a request to stop and the loss of the claim: another worker
/// has the job, it is gone, or the database was silent for the whole lease. Never returns: the job ends by itself.
pub(super) async fn keep(chat: &Chat, job: &job::Model, lease: Duration, cues: &Cues) -> Infallible {
    let mut stops = match job.message_id {
        Some(reply) => match chat.signals.listen(Topic::Stop(reply)).await {
            Ok(hints) => hints.chain(stream::pending()).boxed(),
            // The heartbeat hears of it, too.
            Err(_) => stream::pending().boxed(),
        },
        None => stream::pending().boxed(),
    };
    let claim = Claim { job: job.id, attempt: job.attempt };
    // The first at once: a stop may have been asked for between the claim and the listening.
    let mut beats = interval_at(Instant::now(), lease / 3);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            Some(()) = stops.next() => cues.stop.cancel(),
            _ = beats.tick() => match jobs::heartbeat(chat.db.write(), claim, chat.clock.now() + lease).await {
                Ok(Some(stop_requested)) => {
                    renewed = Instant::now();
                    if stop_requested {
                        cues.stop.cancel();
                    }
                }
                Ok(None) => cues.lost.cancel(),
                Err(error) => {
                    tracing::warn!(job = %job.id, %error, "a heartbeat failed");
                    if renewed.elapsed() >= lease {
                        cues.lost.cancel();
                    }
                }
            },
        }
    }
}
