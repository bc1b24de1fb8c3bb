//! A cache of query results. Keys contain the version number of the data, so that an entry is never stale. The cache also keeps
//! the latest version number, so that most reads do not need to query the database for it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

/// How long a recorded version number is kept. If a process fails to record the version of its change, other processes may return
/// outdated data for up to this time.
pub const VERSION_TTL: Duration = Duration::from_secs(5);

#[async_trait]
pub trait Cache: Send + Sync {
    /// The cached value of `key`; on a miss, the result of `load`, cached for the cache's time to live. Concurrent loads of
    /// one key in one process are merged.
    ///
    /// # Errors
    /// Those of `load`; an unavailable cache is treated as empty.
    async fn get_or_load(
        &self,
        key: &str,
        load: BoxFuture<'_, anyhow::Result<Bytes>>,
    ) -> anyhow::Result<Bytes>;

    /// The latest recorded version number of the data with this name; none if it must be read from the database.
    async fn version(&self, data: &str) -> Option<i64>;

    /// Records a version number of the data with this name, unless a later one is recorded already.
    async fn record_version(&self, data: &str, version: i64);
}
