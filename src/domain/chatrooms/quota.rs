//! The daily quota of prompts. Sending and regenerating reserve a prompt; [`replies`](crate::domain::replies) refunds it if the
//! reply fails.

use chrono::{Days, NaiveTime};
use entity::{Timestamp, UserId};
use sea_orm::ConnectionTrait;

use crate::{
    clock::Clock,
    domain::billing::tiers::{Tier, tier},
    error::{Error, Result},
    store::{subscriptions, usage},
};

/// Prompts used in the current UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyUsage {
    pub used: i32,
    /// None if unlimited.
    pub limit: Option<i32>,
    pub resets_at: Timestamp,
}

/// The daily quota of each tier.
#[derive(Clone)]
pub struct Quota {
    pub clock: Clock,
    pub basic_daily_limit: i32,
    /// Whether users can subscribe to Pro.
    pub is_billing_configured: bool,
}

impl Quota {
    /// The prompts that the tier allows per day; none if unlimited.
    #[must_use]
    pub fn daily_limit(&self, tier: Tier) -> Option<i32> {
        match tier {
            Tier::Basic => Some(self.basic_daily_limit),
            Tier::Pro => None,
        }
    }

    /// The prompts that the tier allows per day; `i32::MAX` if unlimited.
    pub(super) fn daily_limit_or_i32_max(&self, tier: Tier) -> i32 {
        self.daily_limit(tier).unwrap_or(i32::MAX)
    }

    /// The usage of a user of this tier who has used `used` prompts today.
    #[must_use]
    pub fn usage_of(&self, tier: Tier, used: i32) -> DailyUsage {
        DailyUsage { used, limit: self.daily_limit(tier), resets_at: next_day(self.clock.now()) }
    }

    /// The user's usage today.
    pub async fn usage(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<DailyUsage> {
        let now = self.clock.now();
        let subscription = subscriptions::of_user(conn, user).await?;
        let used =
            usage::of_users(conn, &[user], now.date_naive()).await?.first().map_or(0, |today| today.used);
        Ok(self.usage_of(tier(subscription.as_ref(), now), used))
    }

    /// Reserves one prompt of the day of `now`. The reply must be created with the same `now`, because a refund goes to the day
    /// on which the reply was created.
    pub(super) async fn reserve(
        &self,
        tx: &impl ConnectionTrait,
        user: UserId,
        now: Timestamp,
    ) -> Result<DailyUsage> {
        let tier = tier(subscriptions::of_user(tx, user).await?.as_ref(), now);
        let limit = self.daily_limit_or_i32_max(tier);
        if let Some(used) = usage::reserve(tx, user, now.date_naive(), limit).await? {
            return Ok(self.usage_of(tier, used));
        }
        let usage = self.usage(tx, user).await?;
        Err(Error::QuotaExceeded {
            limit,
            used: usage.used,
            resets_at: usage.resets_at,
            upgradeable: self.is_billing_configured && tier == Tier::Basic,
        })
    }
}

fn next_day(now: Timestamp) -> Timestamp {
    let midnight = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN);
    midnight.and_utc()
}
