//! Retries the reads of a GraphQL subscription.

use std::time::Duration;

use crate::error::{Error, Result};

/// How long to wait after a failed read.
const DELAY: Duration = Duration::from_secs(1);

/// Runs a read of a GraphQL subscription. If the read fails with an internal error, waits and returns none, so that the caller
/// retries. Returns any other error.
pub(super) async fn with_read_retry<T, Read>(read: impl FnOnce() -> Read) -> Result<Option<T>>
where
    Read: Future<Output = Result<T>>,
{
    // The read is boxed, so that the future of a subscription, which mostly waits, does not hold the memory that a read needs.
    match Box::pin(read()).await {
        Err(Error::Internal(cause)) => {
            tracing::warn!(cause = format!("{cause:#}"), "subscription read failed; retrying");
            tokio::time::sleep(DELAY).await;
            Ok(None)
        }
        read => read.map(Some),
    }
}
