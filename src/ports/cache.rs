//! Copies of what a query said, under keys that change when the answer may.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

#[async_trait]
pub trait Cache: Send + Sync {
    /// What is kept under `key`; else what `load` brings, kept for the cache's time to live. Loads of one key at the same
    /// time in one process are one.
    ///
    /// # Errors
    /// Those of `load`; a cache that does not answer is as good as an empty one.
    async fn get_or_load(
        &self,
        key: &str,
        load: BoxFuture<'_, anyhow::Result<Bytes>>,
    ) -> anyhow::Result<Bytes>;
}
