//! The cache: what any process has loaded, before it what this one has.
//!
//! Keys change when the answer may, so a copy is never out of date, only out of use; a cache that does not answer is passed
//! by.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};

use super::link::Link;
use crate::{adapters::memory::MemoryCache, ports::cache::Cache};

pub struct RedisCache {
    link: Link,
    near: MemoryCache,
    ttl: Duration,
}

impl RedisCache {
    /// `near` makes the loads of one key at the same time one.
    #[must_use]
    pub fn new(link: Link, near: MemoryCache, ttl: Duration) -> Self {
        Self { link, near, ttl }
    }

    async fn kept(&self, key: &str) -> Option<Bytes> {
        let mut get = redis::pipe();
        get.cmd("GET").arg(key);
        let (kept,): (Option<Vec<u8>>,) = self.link.run(&get).await.ok()?;
        kept.map(Bytes::from)
    }

    async fn keep(&self, key: &str, value: &Bytes) {
        let mut set = redis::pipe();
        // A time to live of none is not one that SET takes.
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        set.cmd("SET").arg(key).arg(&value[..]).arg("PX").arg(ttl).ignore();
        if let Err(error) = self.link.run::<()>(&set).await {
            tracing::debug!(%error, "a value was not kept");
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
        let far_key = format!("pollux:cache:{key}");
        let load = async {
            if let Some(kept) = self.kept(&far_key).await {
                return Ok(kept);
            }
            let loaded = load.await?;
            self.keep(&far_key, &loaded).await;
            Ok(loaded)
        };
        self.near.get_or_load(key, load.boxed()).await
    }
}
