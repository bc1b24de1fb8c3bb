//! The day's prompts: reserved with the message, refunded when its reply fails, unless it was blocked after some of it was
//! shown. Otherwise whoever makes the model recite something would read page after page of it for nothing.

use chrono::{Days, NaiveTime};
use entity::{Timestamp, UserId, message, message::FailureCode};
use sea_orm::ConnectionTrait;

use super::Chat;
use crate::{
    domain::{
        billing::tiers::{Tier, tier},
        text::is_blank,
    },
    error::{Error, Result},
    store::{replies, subscriptions, usage},
};

/// Prompts used in the current UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub used: i32,
    /// None: unlimited.
    pub limit: Option<i32>,
    pub resets_at: Timestamp,
}

impl Chat {
    /// What the tier allows a day; none: any number.
    #[must_use]
    pub fn daily_limit(&self, tier: Tier) -> Option<i32> {
        match tier {
            Tier::Basic => Some(self.settings.basic_daily_limit),
            Tier::Pro => None,
        }
    }

    /// What a user of this tier has used today, given the count.
    #[must_use]
    pub fn usage_of(&self, tier: Tier, used: i32) -> Usage {
        Usage { used, limit: self.daily_limit(tier), resets_at: next_day(self.clock.now()) }
    }

    /// What the user has used today.
    pub async fn usage(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<Usage> {
        let now = self.clock.now();
        let subscription = subscriptions::of_user(conn, user).await?;
        let used =
            usage::of_users(conn, &[user], now.date_naive()).await?.first().map_or(0, |today| today.used);
        Ok(self.usage_of(tier(subscription.as_ref(), now), used))
    }

    /// Takes one prompt of the day of `now`, which is also when its reply is asked for.
    pub(super) async fn reserve(
        &self,
        tx: &impl ConnectionTrait,
        user: UserId,
        now: Timestamp,
    ) -> Result<Usage> {
        let tier = tier(subscriptions::of_user(tx, user).await?.as_ref(), now);
        let limit = self.daily_limit(tier);
        if let Some(used) = usage::reserve(tx, user, now.date_naive(), limit.unwrap_or(i32::MAX)).await? {
            return Ok(self.usage_of(tier, used));
        }
        let usage = self.usage(tx, user).await?;
        Err(Error::QuotaExceeded {
            limit: limit.unwrap_or(i32::MAX),
            used: usage.used,
            resets_at: usage.resets_at,
            upgradeable: self.is_billing_configured && tier == Tier::Basic,
        })
    }
}

/// Whether a reply that ends like this gives its prompt back. Decided by the end alone, in the transaction that stores it,
/// so that it happens once and however many replies end at the same time.
pub(super) fn is_refunded(end: &replies::End) -> bool {
    match end.failure {
        Some((FailureCode::ContentBlocked, _)) => is_blank(&end.content),
        Some(_) => true,
        None => false,
    }
}

/// Gives back the prompt that was taken for a reply, to the day that it was taken from.
pub(super) async fn give_back(tx: &impl ConnectionTrait, reply: &message::Model) -> Result<()> {
    Ok(usage::refund(tx, reply.user_id, reply.created_at.date_naive()).await?)
}

fn next_day(now: Timestamp) -> Timestamp {
    let midnight = (now.date_naive() + Days::new(1)).and_time(NaiveTime::MIN);
    midnight.and_utc()
}
