//! Stops runs on request. All jobs of a worker share one subscription to the signal and one query for the requested stops.
//!
//! ```text
//!  signal ──► query: requested stops of leased jobs ──┬─► the job runs here: cancel its run
//!                                                     └─► else remember the stop for 5 s: this worker may have claimed
//!                                                         the job and not registered its run yet
//! ```

use std::{
    collections::HashMap,
    convert::Infallible,
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use entity::{JobId, job};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::store::{
    Db,
    jobs::{self, Claim},
};

const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a stop is remembered whose job does not run here. A run is registered within this time after its job was claimed.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// The runs of a worker that can be stopped.
#[derive(Clone, Default)]
pub(super) struct Stops(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    runs: HashMap<JobId, (Claim, CancellationToken)>,
    /// Requested stops of jobs that do not run here, or whose run is not registered yet, with the time of the query.
    unmatched: HashMap<JobId, (Claim, Instant)>,
}

/// The registration of a run, which can be stopped until this is dropped.
pub(super) struct Registration {
    stops: Stops,
    job: JobId,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.stops.state().runs.remove(&self.job);
    }
}

impl Stops {
    /// Registers a run, whose token `stop` is cancelled when the user requests it, or now if the user already has.
    pub(super) fn register(&self, job: &job::Model, stop: CancellationToken) -> Registration {
        let claim = Claim::of(job);
        let mut state = self.state();
        if state.unmatched.get(&job.id).is_some_and(|(unmatched, _)| *unmatched == claim) {
            stop.cancel();
        }
        state.runs.insert(job.id, (claim, stop));
        Registration { stops: self.clone(), job: job.id }
    }

    /// Queries the requested stops after each signal. Never returns.
    pub(super) async fn watch(self, db: Db, mut signals: impl Stream<Item = ()> + Unpin) -> Infallible {
        loop {
            // After the end of the subscription, only heartbeats read requested stops.
            if signals.next().await.is_none() {
                future::pending::<()>().await;
            }
            // Without the timeout, a query on a broken connection would wait forever. After a failure, the next heartbeat of the
            // job reads the requested stop.
            match timeout(QUERY_TIMEOUT, jobs::requested_stops(db.read())).await {
                Ok(Ok(requested)) => self.cancel_requested(&requested),
                Ok(Err(error)) => tracing::warn!(%error, "failed to read requested stops"),
                Err(_) => tracing::warn!("reading requested stops timed out"),
            }
        }
    }

    fn cancel_requested(&self, requested: &[Claim]) {
        let mut state = self.state();
        let State { runs, unmatched } = &mut *state;
        let now = Instant::now();
        unmatched.retain(|_, (_, since)| now - *since < REMEMBERED_FOR);
        for claim in requested {
            match runs.get(&claim.job) {
                Some((running, stop)) if running == claim => stop.cancel(),
                _ => drop(unmatched.insert(claim.job, (*claim, now))),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn job() -> job::Model {
        job::Model { attempt: 1, ..jobs::new("reply", Clock::system().now()) }
    }

    #[tokio::test]
    async fn a_stop_cancels_the_run_of_that_attempt_only() {
        let (stops, token) = (Stops::default(), CancellationToken::new());
        let job = job();
        let registration = stops.register(&job, token.clone());
        stops.cancel_requested(&[
            Claim { job: job.id, attempt: 2 },
            Claim { job: JobId::generate(), attempt: 1 },
        ]);
        assert!(!token.is_cancelled());
        stops.cancel_requested(&[Claim::of(&job)]);
        assert!(token.is_cancelled());
        drop(registration);
        assert!(stops.state().runs.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_read_before_its_job_is_registered_is_remembered_for_five_seconds() {
        let stops = Stops::default();
        let (early, late) = (job(), job());
        stops.cancel_requested(&[Claim::of(&early), Claim::of(&late)]);
        let token = CancellationToken::new();
        let _registration = stops.register(&early, token.clone());
        assert!(token.is_cancelled());
        tokio::time::advance(REMEMBERED_FOR).await;
        // A remembered stop is discarded by the first query after its time.
        stops.cancel_requested(&[]);
        let token = CancellationToken::new();
        let _registration = stops.register(&late, token.clone());
        assert!(!token.is_cancelled());
    }
}
