//! Claiming jobs and running them, as many at once as there are permits.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use entity::job;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{housekeeping, lease, silence};
use crate::{
    config::WorkerSettings,
    domain::{
        auth::Deliveries,
        billing::Billing,
        chat::{CancelTokens, Chat},
    },
    error::{Error, Result},
    lifecycle::Lifecycle,
    ports::signals::Topic,
    store::jobs,
};

/// How often the queue is asked without a hint: for the hint that was lost, and for leases and waits that run out.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// So that one process does not take a whole queue from the others.
const MOST_PER_CLAIM: usize = 16;

/// A worker.
#[derive(Clone)]
pub struct Runner {
    pub chat: Chat,
    pub billing: Billing,
    pub deliveries: Deliveries,
    pub settings: WorkerSettings,
}

impl Runner {
    /// Works until it is asked to stop, and then until its running jobs have ended or been handed back.
    pub async fn run(self, life: Lifecycle) {
        let mut hints = self.chat.signals.subscribe(Topic::Jobs).await;
        let permits = Arc::new(Semaphore::new(self.settings.worker_concurrency.get()));
        let running = TaskTracker::new();
        running.spawn(housekeeping::run(self.chat.clone(), life.soft.clone()));
        running.spawn(housekeeping::checkpoint(self.chat.db.clone(), life.soft.clone()));
        running.spawn(silence::run(self.billing.clone(), life.soft.clone()));
        while !life.soft.is_cancelled() {
            let Some(Ok(first)) = life.soft.run_until_cancelled(permits.clone().acquire_owned()).await else {
                break;
            };
            let mut free = vec![first];
            while free.len() < MOST_PER_CLAIM
                && let Ok(permit) = permits.clone().try_acquire_owned()
            {
                free.push(permit);
            }
            let room = free.len();
            let claimed = self.claim(room).await;
            let all_taken = claimed.len() == room;
            for (job, permit) in claimed.into_iter().zip(free) {
                running.spawn(self.clone().run_job(job, life.clone(), permit));
            }
            if !all_taken {
                tokio::select! {
                    () = life.soft.cancelled() => {}
                    _ = tokio::time::timeout(POLL_EVERY, hints.next()) => {}
                }
            }
        }
        running.close();
        running.wait().await;
    }

    /// Claims up to `limit` jobs; none where the database does not answer, which the next turn tries again.
    async fn claim(&self, limit: usize) -> Vec<job::Model> {
        let now = self.chat.clock.now();
        let terms = jobs::Terms {
            now,
            leased_until: now + self.settings.worker_lease,
            limit,
            basic_cap: self.chat.settings.basic_parallel_replies.get(),
            pro_cap: self.chat.settings.pro_parallel_replies.get(),
        };
        jobs::claim(&self.chat.db, terms).await.unwrap_or_else(|error| {
            tracing::error!(%error, "jobs could not be claimed");
            Vec::new()
        })
    }

    /// Runs a job for as long as its lease is kept.
    async fn run_job(self, job: job::Model, life: Lifecycle, permit: OwnedSemaphorePermit) {
        let cues = CancelTokens { release: life.hard.child_token(), ..CancelTokens::default() };
        let work = AssertUnwindSafe(self.work(&job, &cues)).catch_unwind();
        let broke = tokio::select! {
            done = work => match done {
                Ok(Ok(())) => false,
                Ok(Err(error)) => {
                    tracing::error!(job = %job.id, attempt = job.attempt, ?error, "a job broke");
                    true
                }
                Err(_) => {
                    tracing::error!(job = %job.id, attempt = job.attempt, "a job panicked");
                    true
                }
            },
            never = lease::keep(&self.chat, &job, self.settings.worker_lease, &cues) => match never {},
        };
        if broke && let Err(error) = self.broke(&job).await {
            tracing::error!(job = %job.id, ?error, "a broken job waits for its lease to run out");
        }
        drop(permit);
        // Another of its kind may have its turn. Those of the other kinds say so themselves, with more.
        if matches!(job.kind, job::Kind::DeliverOtp | job::Kind::EraseAccount)
            && let Err(unavailable) = self.chat.signals.publish(Topic::Jobs).await
        {
            tracing::debug!(error = %unavailable, "a hint was not sent");
        }
    }

    async fn work(&self, job: &job::Model, cues: &CancelTokens) -> Result<(), Error> {
        match job.kind {
            job::Kind::Reply => self.chat.run_attempt(job, cues).await,
            job::Kind::DeliverOtp => self.deliveries.deliver(job).await,
            job::Kind::EraseAccount => self.erase_account(job).await,
            job::Kind::SyncCustomer => self.billing.sync_customer(job).await,
            // Its reading takes the job with it, and has then still to tell of it; of two readings the newer holds.
            job::Kind::StripeEvent => tokio::select! {
                done = self.billing.see_to_event(job) => done,
                () = cues.release.cancelled() => self.billing.hand_event_back(job).await,
            },
        }
    }

    async fn broke(&self, job: &job::Model) -> Result<(), Error> {
        match job.kind {
            job::Kind::Reply => self.chat.fail_attempt(job).await,
            job::Kind::StripeEvent | job::Kind::SyncCustomer => self.billing.put_off(job).await,
            job::Kind::DeliverOtp => self.deliveries.retry_later(job).await,
            job::Kind::EraseAccount => self.erasure_broke(job).await,
        }
    }
}
