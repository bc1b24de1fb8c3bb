//! Selects the adapters for what processes share in addition to the database.

use std::{sync::Arc, time::Duration};

use tokio_util::task::AbortOnDropHandle;

use crate::{
    adapters::{
        measured::MeasuredCache,
        memory::{MemoryCache, MemoryRateLimit, MemoryReplyLog, MemorySignals},
        no_rate_limit::NoRateLimit,
        redis::{self, RedisCache, RedisRateLimit, RedisReplyLog, RedisSignals},
    },
    clock::Clock,
    config::{Config, Switch},
    domain::admin::relay,
    lifecycle::Lifecycle,
    ports::{cache::Cache, rate_limit::RateLimit, reply_log::ReplyLog, signals::Signals},
    store::Db,
    telemetry::metrics::Metrics,
};

/// How long the process waits for Redis when it starts.
const REDIS_TIMEOUT: Duration = Duration::from_secs(3);

/// What processes share in addition to the database. It is kept in Redis, or in memory if there is only one process.
pub(super) struct Shared {
    pub(super) log: Arc<dyn ReplyLog>,
    pub(super) signals: Arc<dyn Signals>,
    pub(super) cache: Arc<dyn Cache>,
    pub(super) limits: Arc<dyn RateLimit>,
    /// The task of the connection to Redis, which ends when this handle is dropped. None without Redis.
    link: Option<AbortOnDropHandle<()>>,
}

impl Shared {
    pub(super) async fn open(
        config: &Config,
        clock: &Clock,
        life: &Lifecycle,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let ttl = config.chat.chatroom_cache_ttl;
        let memory_cache = MemoryCache::new(ttl, clock.clone());
        let hits = metrics.caches.of("chatroom_pages");
        let has_rate_limits = config.rates.rate_limits == Switch::On;
        let Some(url) = config.redis.url() else {
            return Ok(Self {
                log: Arc::new(MemoryReplyLog::new(clock.clone())),
                signals: Arc::new(MemorySignals::default()),
                cache: Arc::new(MeasuredCache::new(memory_cache, hits)),
                limits: if has_rate_limits {
                    Arc::new(MemoryRateLimit::new(clock.clone()))
                } else {
                    Arc::new(NoRateLimit)
                },
                link: None,
            });
        };
        let (link, handle) = redis::Link::open(url, &life.tasks, metrics.redis_errors.clone())?;
        if tokio::time::timeout(REDIS_TIMEOUT, link.connected()).await.is_err() {
            tracing::warn!("Redis is unavailable; starting without it");
        }
        Ok(Self {
            log: Arc::new(RedisReplyLog::new(link.clone())),
            signals: Arc::new(RedisSignals::new(link.clone())),
            cache: Arc::new(MeasuredCache::new(RedisCache::new(link.clone(), memory_cache, ttl), hits)),
            limits: if has_rate_limits { Arc::new(RedisRateLimit::new(link)) } else { Arc::new(NoRateLimit) },
            link: Some(handle),
        })
    }

    /// Without Redis, starts a task that publishes the signals of changes by `pollux admin`, which runs in another process. With
    /// Redis, does nothing, because the command then publishes the signals itself.
    pub(super) fn relay_changes_of_operators(&self, db: &Db, clock: &Clock, life: &Lifecycle) {
        if self.link.is_some() {
            return;
        }
        let (db, clock, signals, closing) =
            (db.clone(), clock.clone(), self.signals.clone(), life.closing.clone());
        life.tasks.spawn(async move { relay::run(db, clock, &*signals, closing).await });
    }
}
