//! The cache. Values are kept at two levels: in this process's memory, then in Redis, which all processes share. The latest
//! versions are kept in Redis only.
//!
//! Keys contain a version of the data, so an entry is never stale: after a change, it is just not read any more. If Redis is
//! unavailable, values that are not in memory are loaded.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use redis::Script;

use super::{link::Link, version_reads::VersionReads};
use crate::{
    adapters::memory::MemoryCache,
    ports::{
        Unavailable,
        cache::{Cache, VERSION_TTL},
    },
};

/// Sets the key to the version ARGV[1] for ARGV[2] milliseconds, unless a later version is stored.
const RECORD_VERSION: &str = r"
local known = tonumber(redis.call('GET', KEYS[1]))
if known and known > tonumber(ARGV[1]) then return end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
";

pub struct RedisCache {
    version_reads: VersionReads,
    link: Link,
    memory: MemoryCache,
    ttl: Duration,
    record_version: Script,
}

impl RedisCache {
    /// `memory` is the first level. It also merges concurrent loads of one key.
    #[must_use]
    pub fn new(link: Link, memory: MemoryCache, ttl: Duration) -> Self {
        let version_reads = VersionReads::new(link.clone());
        Self { version_reads, link, memory, ttl, record_version: Script::new(RECORD_VERSION) }
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        let mut get = redis::pipe();
        get.cmd("GET").arg(key);
        let (cached,): (Option<Vec<u8>>,) = self.link.run(&get).await.ok()?;
        cached.map(Bytes::from)
    }

    async fn try_record_version(&self, data: &str, version: i64) -> Result<(), Unavailable> {
        let server = self.link.server()?;
        let mut record = self.record_version.prepare_invoke();
        record.key(version_key(data)).arg(version).arg(milliseconds(VERSION_TTL));
        let _span = Link::span();
        self.link.run_script(&record, server).await
    }

    async fn set(&self, key: &str, value: &Bytes) {
        let mut set = redis::pipe();
        // SET rejects a time to live of 0.
        set.cmd("SET").arg(key).arg(&value[..]).arg("PX").arg(milliseconds(self.ttl).max(1)).ignore();
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

    async fn version(&self, data: &str) -> Option<i64> {
        self.version_reads.read(version_key(data)).await
    }

    async fn record_version(&self, data: &str, version: i64) {
        if let Err(error) = self.try_record_version(data, version).await {
            tracing::debug!(data, %error, "recording a version in Redis failed");
        }
    }
}

fn version_key(data: &str) -> String {
    format!("pollux:version:{data}")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
