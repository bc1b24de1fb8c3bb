//! What each user has used per day: prompts, tokens, and replies that are not finished.

use chrono::NaiveDate;
use entity::{UserId, daily_usage};
use sea_orm::{DbBackend, entity::prelude::*};

use super::sql;

/// The limits of a tier; none if unlimited.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierLimits {
    pub daily_prompts: Option<i32>,
    pub daily_tokens: Option<i64>,
    pub monthly_tokens: Option<i64>,
}

impl TierLimits {
    /// Prompts a day, tokens a day, tokens a month; the greatest value of the type if unlimited.
    pub(super) fn values(self) -> (i32, i64, i64) {
        let tokens = |limit: Option<i64>| limit.unwrap_or(i64::MAX);
        (self.daily_prompts.unwrap_or(i32::MAX), tokens(self.daily_tokens), tokens(self.monthly_tokens))
    }
}

/// The limits of all tiers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub basic: TierLimits,
    pub pro: TierLimits,
    /// The tokens that an unfinished reply counts as.
    pub reserved_tokens: i64,
}

/// A day, and the first day of its month.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    pub day: NaiveDate,
    pub month: NaiveDate,
}

/// The SQL expressions from which [`token_budget`] computes.
pub(super) struct BudgetInputs<'a> {
    pub(super) user: &'a str,
    pub(super) day: &'a str,
    pub(super) month: &'a str,
    pub(super) reserved_tokens: &'a str,
    pub(super) daily_limit: &'a str,
    pub(super) monthly_limit: &'a str,
}

/// The SQL expression for the tokens that may be used today: the daily limit, or the rest of the monthly limit after the earlier
/// days of the month, whichever is less.
pub(super) fn token_budget(backend: DbBackend, inputs: &BudgetInputs<'_>) -> String {
    let BudgetInputs { user, day, month, reserved_tokens, daily_limit: daily, monthly_limit: monthly } =
        inputs;
    let (least, cast) = match backend {
        DbBackend::Sqlite => ("min", ""),
        _ => ("least", "::bigint"),
    };
    let sum = format!("sum(tokens + unfinished * {reserved_tokens}){cast}");
    format!(
        "CASE WHEN {monthly} = {max} THEN {daily} ELSE {least}({daily}, {monthly} - coalesce(
             (SELECT {sum} FROM daily_usage WHERE user_id = {user} AND day >= {month} AND day < {day}), 0)) END",
        max = i64::MAX
    )
}

/// Reserves one prompt and the tokens of its reply, and returns the number of prompts used on that day, this one included. None
/// if a limit is reached. This is one statement, so that concurrent calls cannot reserve the same prompt.
pub async fn reserve(
    conn: &impl ConnectionTrait,
    user: UserId,
    Period { day, month }: Period,
    limits: TierLimits,
    reserved_tokens: i64,
) -> Result<Option<i32>, DbErr> {
    let (prompts, daily, monthly) = limits.values();
    let inputs = BudgetInputs {
        user: "$1",
        day: "$2",
        month: "$4",
        reserved_tokens: "$5",
        daily_limit: "$6",
        monthly_limit: "$7",
    };
    let budget = token_budget(conn.get_database_backend(), &inputs);
    let statement = sql(
        conn,
        format!(
            "INSERT INTO daily_usage (user_id, day, used, unfinished) SELECT $1, $2, 1, 1 WHERE $3 > 0 AND {budget} > 0
             ON CONFLICT (user_id, day) DO UPDATE SET used = daily_usage.used + 1, unfinished = daily_usage.unfinished + 1
             WHERE daily_usage.used < $3 AND daily_usage.tokens + daily_usage.unfinished * $5 < {budget}
             RETURNING used"
        ),
        [
            user.into(),
            day.into(),
            prompts.into(),
            month.into(),
            reserved_tokens.into(),
            daily.into(),
            monthly.into(),
        ],
    );
    conn.query_one_raw(statement).await?.map(|row| row.try_get("", "used")).transpose()
}

/// The usage of each of these users on `day`; a user who used nothing has no row.
pub async fn of_users(
    conn: &impl ConnectionTrait,
    users: &[UserId],
    day: NaiveDate,
) -> Result<Vec<daily_usage::Model>, DbErr> {
    daily_usage::Entity::find()
        .filter(daily_usage::Column::UserId.is_in(users.iter().copied()))
        .filter(daily_usage::Column::Day.eq(day))
        .all(conn)
        .await
}

/// The usage of each of these users on `day` and later.
pub async fn since(
    conn: &impl ConnectionTrait,
    users: &[UserId],
    day: NaiveDate,
) -> Result<Vec<daily_usage::Model>, DbErr> {
    daily_usage::Entity::find()
        .filter(daily_usage::Column::UserId.is_in(users.iter().copied()))
        .filter(daily_usage::Column::Day.gte(day))
        .all(conn)
        .await
}

/// Deletes the usage of days before `day`.
pub async fn delete_older(conn: &impl ConnectionTrait, day: NaiveDate) -> Result<u64, DbErr> {
    let deleted =
        daily_usage::Entity::delete_many().filter(daily_usage::Column::Day.lt(day)).exec(conn).await?;
    Ok(deleted.rows_affected)
}
