//! Indexing messages for search: replies that have ended, and the backfill of messages that were stored before search existed.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{domain::search, error::Result, store::Db};

/// The interval may be long, because no search waits for this task: a search first indexes the queued replies of its user. The
/// task keeps their number small. The longer the interval is, the more replies of one user are in a batch, which costs less.
pub(super) const INTERVAL: Duration = Duration::from_mins(5);
/// How soon after an upgrade the backfill begins. Once it is complete, a run only reads that it is.
pub(super) const BACKFILL_INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn run(db: Db, soft: CancellationToken) -> Result<()> {
    run_batches(&soft, || search::index_queued(&db)).await
}

pub(super) async fn run_backfill(db: Db, soft: CancellationToken) -> Result<()> {
    run_batches(&soft, || search::backfill(&db)).await
}

/// Runs batches until one returns false. Shutdown ends the run after its current batch.
async fn run_batches<F: Future<Output = Result<bool>>>(
    soft: &CancellationToken,
    batch: impl Fn() -> F,
) -> Result<()> {
    while !soft.is_cancelled() {
        let started = Instant::now();
        if !batch().await? {
            break;
        }
        // The pause is as long as the batch took, so that indexing takes at most half of the database's time from users.
        soft.run_until_cancelled(tokio::time::sleep(started.elapsed())).await;
    }
    Ok(())
}
