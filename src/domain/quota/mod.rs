//! What a user may use: prompts a day, and tokens a day and a month. Sending, editing and regenerating reserve a prompt and the
//! tokens of a reply. When the reply ends, the reserved tokens are replaced by the tokens used. If it failed, prompt and tokens
//! are refunded instead, unless the provider blocked the reply after some text was shown.
//!
//! ```text
//!  daily_usage, one row a user and day    used   tokens   unfinished
//!    message accepted                      +1               +1
//!    reply ended, charged                        +n         -1      n: the tokens that the reply used
//!    reply ended, refunded                 -1               -1
//! ```
//!
//! A message is accepted only if `used` and `tokens + unfinished × RESERVED_TOKENS` are below the limits.
//!
//! A chatroom may be deleted before its reply ends. The reply then counts as unfinished for the rest of the period, because the
//! operator pays for the reply and the number of its tokens is unknown.

mod calendar;

pub use calendar::Calendar;

use chrono::{Days, NaiveDate};
use entity::{Timestamp, UserId, daily_usage};
use sea_orm::ConnectionTrait;

use crate::{
    clock::Clock,
    domain::billing::tiers::{Tier, tier},
    error::{Error, QuotaKind, Result},
    store::{
        subscriptions,
        usage::{self, Limits, Period, TierLimits},
    },
};

/// How many days of usage a user sees.
pub const HISTORY_DAYS: u64 = 30;

/// The prompts of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptBudget {
    pub used: i32,
    /// None if unlimited.
    pub limit: Option<i32>,
    pub resets_at: Timestamp,
}

/// The tokens of a day or a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBudget {
    /// Including tokens reserved by unfinished replies.
    pub used: i64,
    /// None if unlimited.
    pub limit: Option<i64>,
    pub resets_at: Timestamp,
}

/// The quotas of each tier.
#[derive(Clone)]
pub struct Quota {
    pub clock: Clock,
    pub calendar: Calendar,
    pub limits: Limits,
    /// Whether users can subscribe to Pro.
    pub is_billing_configured: bool,
}

impl Quota {
    fn today(&self) -> Period {
        self.calendar.period(self.clock.now())
    }

    /// Whether tokens of any tier are limited.
    #[must_use]
    pub fn has_token_budgets(&self) -> bool {
        let tiers = [self.limits.basic, self.limits.pro];
        tiers.iter().any(|tier| tier.daily_tokens.or(tier.monthly_tokens).is_some())
    }

    fn limits_of(&self, tier: Tier) -> TierLimits {
        match tier {
            Tier::Basic => self.limits.basic,
            Tier::Pro => self.limits.pro,
        }
    }

    /// The prompts of a user of this tier who has used `used` of them today.
    #[must_use]
    pub fn prompt_budget(&self, tier: Tier, used: i32) -> PromptBudget {
        let resets_at = self.calendar.end_of_day(self.today());
        PromptBudget { used, limit: self.limits_of(tier).daily_prompts, resets_at }
    }

    /// The tokens of this day and of this month, from the rows of the month.
    #[must_use]
    pub fn token_budgets(&self, tier: Tier, rows: &[daily_usage::Model]) -> [TokenBudget; 2] {
        let (today, limits) = (self.today(), self.limits_of(tier));
        let used = |from: NaiveDate| {
            let rows = rows.iter().filter(|row| (from..=today.day).contains(&row.day));
            rows.map(|row| row.tokens + i64::from(row.unfinished) * self.limits.reserved_tokens).sum()
        };
        let (day_end, month_end) = (self.calendar.end_of_day(today), self.calendar.end_of_month(today));
        [
            TokenBudget { used: used(today.day), limit: limits.daily_tokens, resets_at: day_end },
            TokenBudget { used: used(today.month), limit: limits.monthly_tokens, resets_at: month_end },
        ]
    }

    /// The earliest day whose usage is needed, for the history or for this month's tokens.
    #[must_use]
    pub fn history_from(&self) -> NaiveDate {
        let today = self.today();
        today.month.min(today.day - Days::new(HISTORY_DAYS - 1))
    }

    /// The last [`HISTORY_DAYS`] days, oldest first, including days on which nothing was used.
    #[must_use]
    pub fn history(&self, user: UserId, rows: &[daily_usage::Model]) -> Vec<daily_usage::Model> {
        let today = self.today().day;
        let days = (0..HISTORY_DAYS).rev().map(|ago| today - Days::new(ago));
        days.map(|day| {
            let found = rows.iter().find(|row| row.day == day).cloned();
            found.unwrap_or(daily_usage::Model { user_id: user, day, used: 0, tokens: 0, unfinished: 0 })
        })
        .collect()
    }

    /// The user's usage of today; none if nothing was used.
    pub async fn usage_today(
        &self,
        conn: &impl ConnectionTrait,
        user: UserId,
    ) -> Result<Option<daily_usage::Model>> {
        Ok(usage::of_users(conn, &[user], self.today().day).await?.pop())
    }

    /// The user's prompts today.
    pub async fn usage(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<PromptBudget> {
        let subscription = subscriptions::of_user(conn, user).await?;
        let used = self.usage_today(conn, user).await?.map_or(0, |today| today.used);
        Ok(self.prompt_budget(tier(subscription.as_ref(), self.clock.now()), used))
    }

    /// Reserves one prompt of the day of `now`, and the tokens of its reply. The reply must be created with the same `now`,
    /// because the end of a reply is counted on the day on which the reply was created.
    pub async fn reserve(
        &self,
        tx: &impl ConnectionTrait,
        user: UserId,
        now: Timestamp,
    ) -> Result<PromptBudget> {
        let tier = tier(subscriptions::of_user(tx, user).await?.as_ref(), now);
        let limits = self.limits_of(tier);
        let reserved =
            usage::reserve(tx, user, self.calendar.period(now), limits, self.limits.reserved_tokens).await?;
        if let Some(used) = reserved {
            return Ok(self.prompt_budget(tier, used));
        }
        Err(self.exceeded_quota(tx, user, tier).await?)
    }

    /// The error that names the used-up quota, after a prompt could not be reserved.
    async fn exceeded_quota(&self, conn: &impl ConnectionTrait, user: UserId, tier: Tier) -> Result<Error> {
        let rows = usage::since(conn, &[user], self.history_from()).await?;
        let today = self.today();
        let used = rows.iter().find(|row| row.day == today.day).map_or(0, |row| row.used);
        let prompts = self.prompt_budget(tier, used);
        let [daily, monthly] = self.token_budgets(tier, &rows);
        let is_used_up = |budget: &TokenBudget| budget.limit.is_some_and(|limit| budget.used >= limit);
        // Whether the user can get higher limits by subscribing.
        let upgradeable = self.is_billing_configured && tier == Tier::Basic;
        let tokens_exceeded = |kind, TokenBudget { used, limit, resets_at }: TokenBudget| {
            Error::QuotaExceeded { kind, limit: limit.unwrap_or(i64::MAX), used, resets_at, upgradeable }
        };
        Ok(if is_used_up(&monthly) {
            tokens_exceeded(QuotaKind::MonthlyTokens, monthly)
        } else if is_used_up(&daily) {
            tokens_exceeded(QuotaKind::DailyTokens, daily)
        } else {
            Error::QuotaExceeded {
                kind: QuotaKind::DailyPrompts,
                limit: prompts.limit.map_or(i64::MAX, i64::from),
                used: prompts.used.into(),
                resets_at: prompts.resets_at,
                upgradeable,
            }
        })
    }
}
