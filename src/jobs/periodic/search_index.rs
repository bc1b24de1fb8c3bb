//! Indexing messages for search: replies that have ended, and the backfill of messages that were stored before search existed.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::search::{backfill, index_queued},
    error::Result,
    store::Db,
};

/// The interval may be long, because no search waits for this task: a search first indexes the queued replies of its user. The
/// longer it is, the more replies one transaction indexes.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Shutdown ends the run after its current batch.
pub(super) async fn run(db: Db, soft: CancellationToken) -> Result<()> {
    while !soft.is_cancelled() && index_queued(&db).await? {}
    while !soft.is_cancelled() {
        let started = Instant::now();
        if !backfill(&db).await? {
            break;
        }
        // The pause is as long as the batch took, so that the backfill takes at most half of the database's time from users.
        soft.run_until_cancelled(tokio::time::sleep(started.elapsed())).await;
    }
    Ok(())
}
