//! Rate limits that keep the timestamps of the counted events for each key, so that the count is exact for any window of time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    adapters::guarded::lock,
    clock::Clock,
    ports::{
        Unavailable,
        rate_limit::{Limit, RateLimit, Verdict},
    },
};

/// A sweep removes the expired keys. It runs when there are this many more keys than after the previous sweep.
const KEYS_BETWEEN_SWEEPS: usize = 10_000;

#[derive(Clone, Debug)]
pub struct MemoryRateLimit {
    counts: Arc<Mutex<Counts>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Counts {
    /// For each key, the time at which its newest timestamp expires, and its timestamps, oldest first.
    timestamps_by_key: HashMap<String, (DateTime<Utc>, VecDeque<DateTime<Utc>>)>,
    keys_after_sweep: usize,
}

impl MemoryRateLimit {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { counts: Arc::default(), clock }
    }
}

#[async_trait]
impl RateLimit for MemoryRateLimit {
    async fn take(&self, limits: &[Limit]) -> Result<Verdict, Unavailable> {
        let now = self.clock.now();
        let mut counts = lock(&self.counts);
        let mut wait = Duration::ZERO;
        let mut remaining = u32::MAX;
        for limit in limits {
            let Some((_, timestamps)) = counts.timestamps_by_key.get_mut(&limit.key) else {
                remaining = remaining.min(limit.max.saturating_sub(1));
                continue;
            };
            while timestamps.front().is_some_and(|&timestamp| timestamp + limit.window <= now) {
                timestamps.pop_front();
            }
            let taken = u32::try_from(timestamps.len()).unwrap_or(u32::MAX);
            if let Some(&oldest) = timestamps.front().filter(|_| taken >= limit.max) {
                wait = wait.max((oldest + limit.window - now).to_std().unwrap_or_default());
            }
            remaining = remaining.min(limit.max.saturating_sub(taken + 1));
        }
        if !wait.is_zero() {
            return Ok(Verdict::Rejected { retry_after: wait });
        }
        for limit in limits {
            let (until, timestamps) = counts.timestamps_by_key.entry(limit.key.clone()).or_default();
            *until = now + limit.window;
            timestamps.push_back(now);
        }
        if counts.timestamps_by_key.len() > counts.keys_after_sweep + KEYS_BETWEEN_SWEEPS {
            counts.timestamps_by_key.retain(|_, (until, _)| *until > now);
            counts.keys_after_sweep = counts.timestamps_by_key.len();
        }
        Ok(Verdict::Allowed { remaining })
    }
}
