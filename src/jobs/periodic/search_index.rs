//! Indexes messages for search: replies that have ended, with the messages to which they reply, and, as a backfill, messages that
//! were stored before search existed.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{domain::search, error::Result, store::Db};

/// The interval may be long, because no search waits for this task: a search itself first indexes the queued replies of its user,
/// and this task only keeps their number small. With a longer interval, a batch contains more replies of each user, which makes
/// indexing cheaper.
pub(super) const INTERVAL: Duration = Duration::from_mins(5);
/// How soon after an upgrade the backfill begins. Once the backfill is complete, each run only checks that and ends.
pub(super) const BACKFILL_INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn run(db: Db, soft: CancellationToken) -> Result<()> {
    run_batches(&soft, || search::index_queued(&db)).await
}

pub(super) async fn run_backfill(db: Db, soft: CancellationToken) -> Result<()> {
    run_batches(&soft, || search::backfill(&db)).await
}

/// Runs batches until one returns false, which means that nothing is left to do. Shutdown ends the run after its current batch.
async fn run_batches<F: Future<Output = Result<bool>>>(
    soft: &CancellationToken,
    run_batch: impl Fn() -> F,
) -> Result<()> {
    while !soft.is_cancelled() {
        let started = Instant::now();
        if !run_batch().await? {
            break;
        }
        // The pause is as long as the batch took, so that indexing uses the database for at most half of the time.
        soft.run_until_cancelled(tokio::time::sleep(started.elapsed())).await;
    }
    Ok(())
}
