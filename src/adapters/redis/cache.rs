//! The cache in two levels: this process's memory, then Redis, which all processes share.
//!
//! Keys contain a version of the data, so an entry is never stale, only unused. If Redis is unavailable, values are loaded.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};

use super::link::Link;
use crate::{adapters::memory::MemoryCache, ports::cache::Cache};

pub struct RedisCache {
    link: Link,
    memory: MemoryCache,
    ttl: Duration,
}

impl RedisCache {
    /// `memory` also merges concurrent loads of one key.
    #[must_use]
    pub fn new(link: Link, memory: MemoryCache, ttl: Duration) -> Self {
        Self { link, memory, ttl }
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        let mut get = redis::pipe();
        get.cmd("GET").arg(key);
        let (cached,): (Option<Vec<u8>>,) = self.link.run(&get).await.ok()?;
        cached.map(Bytes::from)
    }

    async fn set(&self, key: &str, value: &Bytes) {
        let mut set = redis::pipe();
        // SET rejects a time to live of 0.
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        set.cmd("SET").arg(key).arg(&value[..]).arg("PX").arg(ttl).ignore();
        if let Err(error) = self.link.run::<()>(&set).await {
            tracing::debug!(%error, "caching a value in Redis failed");
        }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get_or_load(
        &self,
        key: &str,
        load: BoxFuture<'_, anyhow::Result<Bytes>>,
    ) -> anyhow::Result<Bytes> {
        let redis_key = format!("pollux:cache:{key}");
        let load = async {
            if let Some(cached) = self.get(&redis_key).await {
                return Ok(cached);
            }
            let loaded = load.await?;
            self.set(&redis_key, &loaded).await;
            Ok(loaded)
        };
        self.memory.get_or_load(key, load.boxed()).await
    }
}
