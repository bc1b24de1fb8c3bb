//! Rate limits that keep a list of the timestamps of the counted events for each key, so that the count is exact for any window
//! of time. One script counts an event, with Redis's own clock.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::Script;

use super::link::Link;
use crate::ports::{
    Unavailable,
    rate_limit::{Limit, RateLimit, Verdict},
};

/// Counts one event under all limits, or under none. KEYS are the keys of the limits; ARGV contains the maximum and the window of
/// each limit. All times are in microseconds. Returns how long to wait and, if that is 0, how many further events are allowed.
///
/// `%.0f` formats a timestamp with all of its digits; by default, Lua keeps only 14.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wait, left = 0, math.huge
for i, key in ipairs(KEYS) do
  local max, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local oldest = tonumber(redis.call('LINDEX', key, 0))
  while oldest and oldest + window <= now do
    redis.call('LPOP', key)
    oldest = tonumber(redis.call('LINDEX', key, 0))
  end
  local taken = redis.call('LLEN', key)
  if taken >= max then wait = math.max(wait, oldest and oldest + window - now or window) end
  left = math.min(left, max - taken - 1)
end
if wait > 0 then return {wait, 0} end
for i, key in ipairs(KEYS) do
  redis.call('RPUSH', key, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil(ARGV[2 * i] / 1000))
end
return {0, left}
";

#[derive(Clone)]
pub struct RedisRateLimit {
    link: Link,
    take: Arc<Script>,
}

impl RedisRateLimit {
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self { link, take: Script::new(TAKE).into() }
    }
}

#[async_trait]
impl RateLimit for RedisRateLimit {
    async fn take(&self, limits: &[Limit]) -> Result<Verdict, Unavailable> {
        if limits.is_empty() {
            return Ok(Verdict::Allowed { remaining: u32::MAX });
        }
        let server = self.link.server()?;
        let mut take = self.take.prepare_invoke();
        for limit in limits {
            take.key(format!("pollux:{{limits}}:{}", limit.key));
            take.arg(limit.max).arg(u64::try_from(limit.window.as_micros()).unwrap_or(u64::MAX));
        }
        let _span = Link::span();
        let (wait, left): (u64, u32) = self.link.run_script(&take, server).await?;
        Ok(match wait {
            0 => Verdict::Allowed { remaining: left },
            wait => Verdict::Rejected { retry_after: Duration::from_micros(wait) },
        })
    }
}
