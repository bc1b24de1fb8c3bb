//! Claims jobs and runs them. Each running job holds a permit, so that the number of concurrent jobs is limited.

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

/// How often the queue is polled without a signal, because signals may be lost, and because none is published when a lease or the
/// delay of a job ends.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of jobs in one claim, so that one process does not take the whole queue from the others.
const MAX_JOBS_PER_CLAIM: usize = 64;
/// Minimum time between two claims.
const MIN_CLAIM_INTERVAL: Duration = Duration::from_millis(5);
/// The delay of a job whose kind this release does not know, because a newer release has queued it.
const UNKNOWN_KIND_DELAY: Duration = Duration::from_mins(1);

/// The maximum number of jobs of a chatroom that a worker runs one after another. Each run claims the next job itself, and such a
/// claim ignores the order of the queue: the chatroom's jobs overtake those of users who wait, and if the user's cap has
/// become lower meanwhile, it is not applied.
const MAX_SUCCESSIVE_JOBS: u32 = 16;

/// What the worker does after a job's run. The default is to do nothing.
#[derive(Default)]
struct JobEnd {
    /// Whether to signal other workers that another job may be claimed now. False for a run that has settled its job, because the
    /// run publishes the signal itself. False after an error, so that a provider that fails is not called more often than the
    /// queue is polled.
    must_signal: bool,
    /// The next job, if the run has claimed one.
    next: Option<job::Model>,
}

/// A worker: claims jobs and runs them.
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

    /// Sets the tracer, which records spans of jobs.
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
            let Some(Ok(permit)) = life.soft.run_until_cancelled(permits.clone().acquire_owned()).await
            else {
                break;
            };
            let mut free_permits = vec![permit];
            while free_permits.len() < MAX_JOBS_PER_CLAIM
                && let Ok(permit) = permits.clone().try_acquire_owned()
            {
                free_permits.push(permit);
            }
            let capacity = free_permits.len();
            // This wait turns a burst of signals into one claim of many jobs.
            if life.soft.run_until_cancelled(tokio::time::sleep_until(next_claim)).await.is_none() {
                break;
            }
            next_claim = Instant::now() + MIN_CLAIM_INTERVAL;
            let claimed = self.claim(capacity).await;
            let more_jobs_may_be_due = claimed.len() == capacity;
            for (job, permit) in claimed.into_iter().zip(free_permits) {
                let (kinds, life, permits) = (kinds.clone(), life.clone(), permits.clone());
                running.spawn(self.clone().run_claimed(job, kinds, life, permits, permit));
            }
            if !more_jobs_may_be_due {
                tokio::select! {
                    () = life.soft.cancelled() => {}
                    _ = tokio::time::timeout(POLL_INTERVAL, signals.next()) => {}
                }
            }
        }
        running.close();
        running.wait().await;
    }

    /// Claims up to `limit` jobs. Returns an empty list if the database fails; the next poll retries.
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

    /// Runs a job, then the next job if the run has claimed one, and so on. Frees the permit afterwards.
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
        let mut remaining_jobs = MAX_SUCCESSIVE_JOBS;
        while let Some(job) = next.take() {
            remaining_jobs -= 1;
            // Earlier claims that ended in an error were counted as failures. If there were more earlier claims than failures, a
            // worker neither completed nor failed the job.
            let is_takeover = job.attempt > job.failures + 1;
            let _gauge_guard = self.metrics.claimed(&job.kind, is_takeover);
            let may_claim_next =
                remaining_jobs > 0 && permits.available_permits() > 0 && !life.soft.is_cancelled();
            let run = match kinds.get(&job.kind) {
                Some(kind) => self.run_job(&job, kind, &life, may_claim_next).await,
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
        // The caps may now permit another job of the same user and kind.
        if must_signal && let Err(unavailable) = self.signals.publish(&[Topic::Jobs]).await {
            tracing::debug!(error = %unavailable, "signal not sent");
        }
    }

    /// Runs a job while renewing its lease.
    async fn run_job(
        &self,
        job: &job::Model,
        kind: &dyn Kind,
        life: &Lifecycle,
        may_claim_next: bool,
    ) -> Result<JobEnd> {
        let cancel = CancelTokens { release: life.hard.child_token(), ..CancelTokens::default() };
        let _registration = self.stops.register(job, cancel.stop.clone());
        let context = Context { cancel, next_lease: may_claim_next.then_some(self.settings.worker_lease) };
        let span = self.span_of(job);
        let started = Instant::now();
        let record_end = |result| self.metrics.ended(kind.name(), result, started.elapsed());
        let work = AssertUnwindSafe(span.scope(kind.run(job, &context))).catch_unwind();
        let result = tokio::select! {
            result = work => result,
            never = lease::keep(self, job, &context.cancel) => match never {},
        };
        let error = match result {
            Ok(Ok(Disposition::Settled { next })) => {
                record_end("done");
                return Ok(JobEnd { must_signal: false, next: next.map(|next| *next) });
            }
            Ok(Ok(disposition)) => {
                record_end(disposition.name());
                self.apply(job, kind, disposition).await?;
                return Ok(JobEnd { must_signal: true, next: None });
            }
            Ok(Err(error)) => Some(error),
            // The run panicked.
            Err(_) => None,
        };
        let (kind_name, attempt) = (kind.name(), job.attempt);
        let trace_id = span.context().map(TraceContext::trace_id);
        if let Some(error) = error {
            record_end("error");
            tracing::error!(job = %job.id, kind = kind_name, attempt, trace_id, ?error, "job failed");
        } else {
            record_end("panic");
            tracing::error!(job = %job.id, kind = kind_name, attempt, trace_id, "job panicked");
        }
        let disposition = kind.on_error(job).await?;
        self.apply(job, kind, disposition).await?;
        Ok(JobEnd::default())
    }

    /// Starts the span of a job's run, whose parent is the span of the operation that queued the job. Also records a span
    /// `claim`, which shows how long the job waited for its claim. Records nothing if the operation was not traced.
    fn span_of(&self, job: &job::Model) -> Span {
        let queued_by = job.payload.as_ref().and_then(|payload| payload[TRACE_PARENT].as_str()?.parse().ok());
        let Some(queued_by) = queued_by else { return Span::default() };
        let mut claim_span = self.tracer.span(|| "claim".to_owned(), SpanKind::Internal, Some(queued_by));
        let waited = self.clock.now().signed_duration_since(job.run_at).to_std().unwrap_or_default();
        claim_span.started_before(waited);
        drop(claim_span);
        let mut span = self.tracer.span(|| format!("job {}", job.kind), SpanKind::Consumer, Some(queued_by));
        span.set("pollux.job.id", job.id);
        span.set("pollux.job.attempt", job.attempt);
        span
    }

    /// Updates or deletes the job's row, as the disposition requires.
    async fn apply(&self, job: &job::Model, kind: &dyn Kind, disposition: Disposition) -> Result<()> {
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

    /// Returns a job of an unknown kind to the queue, with a delay.
    async fn postpone_unknown(&self, job: &job::Model) -> Result<()> {
        tracing::warn!(job = %job.id, kind = job.kind, "job of an unknown kind left for a newer release");
        let run_at = self.clock.now() + UNKNOWN_KIND_DELAY;
        jobs::release(self.db.write(), Claim::of(job), run_at, job.failures).await?;
        Ok(())
    }
}
