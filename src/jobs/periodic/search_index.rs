//! Indexing messages for the search: replies that have ended, and the backfill of messages stored before search existed.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::search::{backfill, index_queued},
    error::Result,
    store::Db,
};

/// A search does not wait for it, so it can wait until a batch is worth its transaction.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Shutdown ends the run after its current batch.
pub(super) async fn run(db: Db, soft: CancellationToken) -> Result<()> {
    while !soft.is_cancelled() && index_queued(&db).await? {}
    while !soft.is_cancelled() {
        let started = Instant::now();
        if !backfill(&db).await? {
            break;
        }
        // Leaves half of the time to what users wait for.
        soft.run_until_cancelled(tokio::time::sleep(started.elapsed())).await;
    }
    Ok(())
}
