//! A cache of query results. Keys contain a version of the data, so that an entry is never stale.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

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
}
