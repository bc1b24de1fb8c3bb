//! Retrying the reads of a subscription.

use std::time::Duration;

use crate::error::{Error, Result};

const DELAY: Duration = Duration::from_secs(1);

/// Runs a read of a subscription. After an internal error, waits and returns none; the subscription then retries.
pub(super) async fn with_read_retry<T, Read>(read: impl FnOnce() -> Read) -> Result<Option<T>>
where
    Read: Future<Output = Result<T>>,
{
    // Created in its box, because a subscription mostly waits, and its future should not hold the memory that a read needs.
    match Box::pin(read()).await {
        Err(Error::Internal(cause)) => {
            tracing::warn!(cause = format!("{cause:#}"), "subscription read failed; retrying");
            tokio::time::sleep(DELAY).await;
            Ok(None)
        }
        read => read.map(Some),
    }
}
