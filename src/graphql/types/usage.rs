//! The prompts and tokens that a user has used and may use.

use async_graphql::{
    Context, InputValueError, InputValueResult, Object, Scalar, ScalarType, SimpleObject, Value,
};
use chrono::NaiveDate;
use entity::{Timestamp, UserId};

use crate::{
    domain::{billing::tiers::tier, quota},
    error::Result,
    graphql::engine::{
        context::{chatrooms, loader},
        loaders::{RecentUsageOf, SubscriptionOf},
    },
};

/// What a user has used and may use. Days and months are those of the server's time zone for quotas.
pub struct Usage {
    user: UserId,
    prompts: quota::PromptBudget,
}

impl Usage {
    pub fn new(user: UserId, prompts: quota::PromptBudget) -> Self {
        Self { user, prompts }
    }

    /// The tokens of today and of this month.
    async fn token_budgets(&self, ctx: &Context<'_>) -> Result<[TokenBudget; 2]> {
        let (loader, quota) = (loader(ctx), &chatrooms(ctx).quota);
        let subscription = loader.load_one(SubscriptionOf(self.user)).await?;
        let rows = loader.load_one(RecentUsageOf(self.user)).await?.unwrap_or_default();
        let tier = tier(subscription.as_ref(), quota.clock.now());
        Ok(quota.token_budgets(tier, &rows).map(TokenBudget::from))
    }
}

/// What a user has used and may use. Days and months are those of the server's time zone for quotas.
#[Object]
impl Usage {
    /// The number of prompts used today.
    async fn used(&self) -> i32 {
        self.prompts.used
    }

    /// The maximum of prompts a day. Null if unlimited.
    async fn limit(&self) -> Option<i32> {
        self.prompts.limit
    }

    /// The number of prompts left today. Null if unlimited.
    async fn remaining(&self) -> Option<i32> {
        self.prompts.limit.map(|limit| (limit - self.prompts.used).max(0))
    }

    /// The time at which the day ends.
    async fn resets_at(&self) -> Timestamp {
        self.prompts.resets_at
    }

    /// The tokens of today.
    async fn daily_tokens(&self, ctx: &Context<'_>) -> Result<TokenBudget> {
        let [daily, _] = self.token_budgets(ctx).await?;
        Ok(daily)
    }

    /// The tokens of this month.
    async fn monthly_tokens(&self, ctx: &Context<'_>) -> Result<TokenBudget> {
        let [_, monthly] = self.token_budgets(ctx).await?;
        Ok(monthly)
    }

    /// The usage of each of the last 30 days, oldest first; the last one is today.
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<DailyUsage>> {
        let rows = loader(ctx).load_one(RecentUsageOf(self.user)).await?.unwrap_or_default();
        let days = chatrooms(ctx).quota.history(self.user, &rows);
        Ok(days
            .into_iter()
            .map(|day| DailyUsage { date: Date(day.day), prompts: day.used, tokens: at_most_i32(day.tokens) })
            .collect())
    }
}

/// The tokens of prompts, answers and thoughts that count in a day or a month.
#[derive(SimpleObject)]
pub struct TokenBudget {
    /// The number of tokens used. An unfinished reply counts as a fixed number of tokens, which is a setting of the server.
    used: i32,
    /// The maximum of tokens. Null if unlimited.
    limit: Option<i32>,
    /// The number of tokens left. Null if unlimited.
    remaining: Option<i32>,
    /// The time at which the day or the month ends.
    resets_at: Timestamp,
}

impl From<quota::TokenBudget> for TokenBudget {
    fn from(budget: quota::TokenBudget) -> Self {
        let remaining = budget.limit.map(|limit| at_most_i32((limit - budget.used).max(0)));
        let (used, limit) = (at_most_i32(budget.used), budget.limit.map(at_most_i32));
        Self { used, limit, remaining, resets_at: budget.resets_at }
    }
}

/// What a user has used on one day.
#[derive(SimpleObject)]
pub struct DailyUsage {
    /// The day.
    date: Date,
    /// The number of prompts, without those of failed replies.
    prompts: i32,
    /// The number of tokens of replies that have ended, without failed ones.
    tokens: i32,
}

/// Converts a count to an `Int` of GraphQL, which has 32 bits. A larger count becomes the maximum.
fn at_most_i32(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[derive(Clone, Copy)]
pub struct Date(NaiveDate);

/// A day in ISO 8601 form, such as 2026-11-26.
#[Scalar(name = "Date", specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6")]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map(Self).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
