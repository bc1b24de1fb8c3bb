//! Selects the adapters of what processes share besides the database.

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

/// What processes share besides the database: Redis, or the memory of a single process.
pub(super) struct Shared {
    pub(super) log: Arc<dyn ReplyLog>,
    pub(super) signals: Arc<dyn Signals>,
    pub(super) cache: Arc<dyn Cache>,
    pub(super) limits: Arc<dyn RateLimit>,
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
        let near = MemoryCache::new(ttl, clock.clone());
        let hits = metrics.caches.of("chatroom_pages");
        let limited = config.rates.rate_limits == Switch::On;
        let Some(url) = config.redis.url() else {
            return Ok(Self {
                log: Arc::new(MemoryReplyLog::new(clock.clone())),
                signals: Arc::new(MemorySignals::default()),
                cache: Arc::new(MeasuredCache::new(near, hits)),
                limits: if limited {
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
            cache: Arc::new(MeasuredCache::new(RedisCache::new(link.clone(), near, ttl), hits)),
            limits: if limited { Arc::new(RedisRateLimit::new(link)) } else { Arc::new(NoRateLimit) },
            link: Some(handle),
        })
    }

    /// Publishes the signals of `pollux admin` in a process that shares no signals with it. Does nothing with Redis.
    pub(super) fn relay_changes_of_operators(&self, db: &Db, clock: &Clock, life: &Lifecycle) {
        if self.link.is_some() {
            return;
        }
        let (db, clock, signals, closing) =
            (db.clone(), clock.clone(), self.signals.clone(), life.closing.clone());
        life.tasks.spawn(async move { relay::run(db, clock, &*signals, closing).await });
    }
}
