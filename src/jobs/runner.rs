//! Claiming jobs and running them, as many at once as there are permits.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use entity::job;
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    kinds::{Context, Disposition, Kind, Registry},
    lease, periodic,
    stops::Stops,
};
use crate::{
    clock::Clock,
    config::{ChatSettings, WorkerSettings},
    domain::{auth::OtpDeliverer, billing::Billing, chatrooms::Chatrooms, replies::CancelTokens},
    error::Result,
    lifecycle::Lifecycle,
    ports::signals::{Signals, Topic},
    store::{
        Db,
        jobs::{self, Claim},
    },
    telemetry::{
        metrics::JobMetrics,
        traces::{Span, SpanKind, TRACE_PARENT, TraceContext, Tracer},
    },
};

/// How often the queue is polled without a signal: for signals that were lost, and for leases and delays that end.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Limits a claim, so that one process does not take the whole queue from the others.
const MAX_JOBS_PER_CLAIM: usize = 64;
/// Minimum time between two claims.
const MIN_CLAIM_INTERVAL: Duration = Duration::from_millis(5);
/// The delay of a job whose kind this release does not know, because a newer release has queued it.
const UNKNOWN_KIND_DELAY: Duration = Duration::from_mins(1);

/// Jobs that a worker runs one after another without a claim by the queue's order: within this many, a chatroom's jobs may precede
/// those of users who wait, and a cap that has become lower is not applied.
const MAX_SUCCESSIVE_JOBS: u32 = 16;

/// The end of a job's run.
#[derive(Default)]
struct JobEnd {
    /// Whether other workers are to be signalled: not for a run that has settled its job, which signals by itself, nor after an
    /// error, so that a provider that fails is not called more often than the queue is polled.
    must_signal: bool,
    /// The next job, which the run has claimed.
    next: Option<job::Model>,
}

/// A worker.
#[derive(Clone)]
pub struct Runner {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) signals: Arc<dyn Signals>,
    pub(super) settings: WorkerSettings,
    limits: ChatSettings,
    chatrooms: Chatrooms,
    billing: Billing,
    otp_deliverer: OtpDeliverer,
    stops: Stops,
    metrics: JobMetrics,
    tracer: Tracer,
}

impl Runner {
    #[must_use]
    pub fn new(
        chatrooms: Chatrooms,
        billing: Billing,
        otp_deliverer: OtpDeliverer,
        settings: WorkerSettings,
        limits: ChatSettings,
        metrics: JobMetrics,
    ) -> Self {
        let (db, clock, signals) = (chatrooms.db.clone(), chatrooms.clock.clone(), chatrooms.signals.clone());
        let (stops, tracer) = Default::default();
        Self {
            db,
            clock,
            signals,
            settings,
            limits,
            chatrooms,
            billing,
            otp_deliverer,
            stops,
            metrics,
            tracer,
        }
    }

    /// With traces.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Claims and runs jobs until `life.soft` is cancelled, and returns once the running jobs have ended or are released.
    pub async fn run(self, life: Lifecycle) {
        let stop_signals = self.signals.subscribe(Topic::Stops).await;
        let watch = self.stops.clone().watch(self.db.clone(), stop_signals);
        tokio::select! {
            never = watch => match never {},
            () = self.run_jobs(life) => {}
        }
    }

    async fn run_jobs(self, life: Lifecycle) {
        let mut signals = self.signals.subscribe(Topic::Jobs).await;
        let permits = Arc::new(Semaphore::new(self.settings.worker_concurrency.get()));
        let kinds = Arc::new(Registry::new(&self.chatrooms, &self.billing, &self.otp_deliverer));
        let running = TaskTracker::new();
        periodic::spawn(&self.chatrooms, &self.billing, &running, &life.soft);
        let mut next_claim = Instant::now();
        while !life.soft.is_cancelled() {
            let Some(Ok(first)) = life.soft.run_until_cancelled(permits.clone().acquire_owned()).await else {
                break;
            };
            let mut free = vec![first];
            while free.len() < MAX_JOBS_PER_CLAIM
                && let Ok(permit) = permits.clone().try_acquire_owned()
            {
                free.push(permit);
            }
            let capacity = free.len();
            // A burst of signals becomes one claim of many jobs.
            if life.soft.run_until_cancelled(tokio::time::sleep_until(next_claim)).await.is_none() {
                break;
            }
            next_claim = Instant::now() + MIN_CLAIM_INTERVAL;
            let claimed = self.claim(capacity).await;
            let is_full = claimed.len() == capacity;
            for (job, permit) in claimed.into_iter().zip(free) {
                let (kinds, life, permits) = (kinds.clone(), life.clone(), permits.clone());
                running.spawn(self.clone().run_claimed(job, kinds, life, permits, permit));
            }
            if !is_full {
                tokio::select! {
                    () = life.soft.cancelled() => {}
                    _ = tokio::time::timeout(POLL_INTERVAL, signals.next()) => {}
                }
            }
        }
        running.close();
        running.wait().await;
    }

    /// Claims up to `limit` jobs. Claims none if the database fails; the next poll retries.
    async fn claim(&self, limit: usize) -> Vec<job::Model> {
        let now = self.clock.now();
        let terms = jobs::ClaimTerms {
            now,
            leased_until: now + self.settings.worker_lease,
            limit,
            basic_cap: self.limits.basic_parallel_replies.get(),
            pro_cap: self.limits.pro_parallel_replies.get(),
        };
        jobs::claim(&self.db, terms).await.unwrap_or_else(|error| {
            tracing::error!(%error, "failed to claim jobs");
            Vec::new()
        })
    }

    /// Runs a job, and then each next one that its run has claimed; frees the permit.
    async fn run_claimed(
        self,
        job: job::Model,
        kinds: Arc<Registry>,
        life: Lifecycle,
        permits: Arc<Semaphore>,
        permit: OwnedSemaphorePermit,
    ) {
        let mut must_signal = false;
        let mut next = Some(job);
        let mut left = MAX_SUCCESSIVE_JOBS;
        while let Some(job) = next.take() {
            left -= 1;
            // A claim that ended in an error is counted as a failure; any other that is not the first was not ended by its worker.
            let _running = self.metrics.claimed(&job.kind, job.attempt > job.failures + 1);
            let claims_next = left > 0 && permits.available_permits() > 0 && !life.soft.is_cancelled();
            let run = match kinds.get(&job.kind) {
                Some(kind) => self.run_job(&job, kind, &life, claims_next).await,
                None => self.postpone_unknown(&job).await.map(|()| JobEnd::default()),
            };
            let end = run.unwrap_or_else(|error| {
                tracing::error!(job = %job.id, ?error, "failed to update a job; it waits until its lease expires");
                JobEnd::default()
            });
            must_signal = end.must_signal;
            next = end.next;
        }
        drop(permit);
        // Another job of this user and kind may be within the cap now.
        if must_signal && let Err(unavailable) = self.signals.publish(Topic::Jobs).await {
            tracing::debug!(error = %unavailable, "signal not sent");
        }
    }

    /// Runs a job while renewing its lease.
    async fn run_job(
        &self,
        job: &job::Model,
        kind: &dyn Kind,
        life: &Lifecycle,
        claims_next: bool,
    ) -> Result<JobEnd> {
        let cancel = CancelTokens { release: life.hard.child_token(), ..CancelTokens::default() };
        let _registration = self.stops.register(job, cancel.stop.clone());
        let context = Context { cancel, next_lease: claims_next.then_some(self.settings.worker_lease) };
        let span = self.span_of(job);
        let started = Instant::now();
        let ended = |result| self.metrics.ended(kind.name(), result, started.elapsed());
        let work = AssertUnwindSafe(span.scope(kind.run(job, &context))).catch_unwind();
        let finished = tokio::select! {
            finished = work => finished,
            never = lease::keep(self, job, &context.cancel) => match never {},
        };
        let failed = match finished {
            Ok(Ok(Disposition::Settled { next })) => {
                ended("done");
                return Ok(JobEnd { must_signal: false, next: next.map(|next| *next) });
            }
            Ok(Ok(disposition)) => {
                ended(disposition.name());
                self.settle(job, kind, disposition).await?;
                return Ok(JobEnd { must_signal: true, next: None });
            }
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let (kind_name, attempt) = (kind.name(), job.attempt);
        let trace_id = span.context().map(TraceContext::trace_id);
        if let Some(error) = failed {
            ended("error");
            tracing::error!(job = %job.id, kind = kind_name, attempt, trace_id, ?error, "job failed");
        } else {
            ended("panic");
            tracing::error!(job = %job.id, kind = kind_name, attempt, trace_id, "job panicked");
        }
        let disposition = kind.on_error(job).await?;
        self.settle(job, kind, disposition).await?;
        Ok(JobEnd::default())
    }

    /// The span of a job's run, below the operation that queued the job, if that was traced. A span before it shows how long the
    /// job waited for its claim.
    fn span_of(&self, job: &job::Model) -> Span {
        let queued_by = job.payload.as_ref().and_then(|payload| payload[TRACE_PARENT].as_str()?.parse().ok());
        let Some(queued_by) = queued_by else { return Span::default() };
        let mut claim = self.tracer.span(|| "claim".to_owned(), SpanKind::Internal, Some(queued_by));
        let waited = self.clock.now().signed_duration_since(job.run_at).to_std().unwrap_or_default();
        claim.started_before(waited);
        drop(claim);
        let mut span = self.tracer.span(|| format!("job {}", job.kind), SpanKind::Consumer, Some(queued_by));
        span.set("pollux.job.id", job.id);
        span.set("pollux.job.attempt", job.attempt);
        span
    }

    async fn settle(&self, job: &job::Model, kind: &dyn Kind, disposition: Disposition) -> Result<()> {
        let (db, claim, now) = (self.db.write(), Claim::of(job), self.clock.now());
        match disposition {
            Disposition::Complete => drop(jobs::complete(db, claim).await?),
            Disposition::Release => drop(jobs::release(db, claim, now, job.failures).await?),
            Disposition::Settled { .. } => {}
            Disposition::Retry => {
                let failures = job.failures.saturating_add(1);
                if let Some(delay) = kind.retry_policy().delay(failures.unsigned_abs()) {
                    jobs::release(db, claim, now + delay, failures).await?;
                } else {
                    kind.give_up(job).await?;
                    jobs::complete(db, claim).await?;
                }
            }
        }
        Ok(())
    }

    async fn postpone_unknown(&self, job: &job::Model) -> Result<()> {
        tracing::warn!(job = %job.id, kind = job.kind, "job of an unknown kind left for a newer release");
        let run_at = self.clock.now() + UNKNOWN_KIND_DELAY;
        jobs::release(self.db.write(), Claim::of(job), run_at, job.failures).await?;
        Ok(())
    }
}
