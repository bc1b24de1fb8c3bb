//! The cache in the memory of one process. The total size of its values, and the number of recorded versions, are bounded.

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::{
    clock::Clock,
    ports::cache::{Cache, VERSION_TTL},
};

/// The maximum size of all keys and values together.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_VERSIONS: u64 = 100_000;

#[derive(Clone)]
pub struct MemoryCache {
    /// Values with the times at which they expire.
    cached: moka::future::Cache<String, (DateTime<Utc>, Bytes)>,
    /// Versions with the times at which they expire.
    versions: moka::future::Cache<String, (DateTime<Utc>, i64)>,
    ttl: Duration,
    clock: Clock,
}

impl MemoryCache {
    #[must_use]
    pub fn new(ttl: Duration, clock: Clock) -> Self {
        let weight = |key: &String, (_, value): &(_, Bytes)| {
            u32::try_from(key.len() + value.len()).unwrap_or(u32::MAX)
        };
        Self {
            cached: moka::future::Cache::builder().weigher(weight).max_capacity(MAX_BYTES).build(),
            versions: moka::future::Cache::builder().max_capacity(MAX_VERSIONS).build(),
            ttl,
            clock,
        }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get_or_load(
        &self,
        key: &str,
        load: BoxFuture<'_, anyhow::Result<Bytes>>,
    ) -> anyhow::Result<Bytes> {
        let now = self.clock.now();
        if self.cached.get(key).await.is_some_and(|(until, _)| until <= now) {
            self.cached.invalidate(key).await;
        }
        let until = now + self.ttl;
        let loaded = self.cached.try_get_with_by_ref(key, async { anyhow::Ok((until, load.await?)) }).await;
        // The error is shared by all callers that waited for this load, so only its text can be returned.
        loaded.map(|(_, value)| value).map_err(|cause| anyhow!("{cause:#}"))
    }

    async fn version(&self, data: &str) -> Option<i64> {
        let (until, version) = self.versions.get(data).await?;
        (self.clock.now() < until).then_some(version)
    }

    async fn record_version(&self, data: &str, version: i64) {
        let now = self.clock.now();
        let latest = async |entry: Option<moka::Entry<String, (DateTime<Utc>, i64)>>| {
            let unexpired = entry.map(moka::Entry::into_value).filter(|(until, _)| now < *until);
            (now + VERSION_TTL, unexpired.map_or(version, |(_, recorded)| recorded.max(version)))
        };
        self.versions.entry_by_ref(data).and_upsert_with(latest).await;
    }
}
