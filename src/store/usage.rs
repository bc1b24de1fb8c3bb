//! How many prompts each user has used per day.

use chrono::NaiveDate;
use entity::{UserId, daily_usage};
use sea_orm::{ExprTrait, entity::prelude::*};

use super::sql;

/// Reserves one unit if fewer than `limit` are used, and returns the number of used units, this one included. None if the
/// limit is reached. This is one statement, so that concurrent calls cannot reserve the same unit.
pub async fn reserve(
    conn: &impl ConnectionTrait,
    user: UserId,
    day: NaiveDate,
    limit: i32,
) -> Result<Option<i32>, DbErr> {
    if limit < 1 {
        return Ok(None);
    }
    let statement = sql(
        conn,
        "INSERT INTO daily_usage (user_id, day, used) VALUES ($1, $2, 1)
         ON CONFLICT (user_id, day) DO UPDATE SET used = daily_usage.used + 1 WHERE daily_usage.used < $3
         RETURNING used",
        [user.into(), day.into(), limit.into()],
    );
    conn.query_one_raw(statement).await?.map(|row| row.try_get("", "used")).transpose()
}

/// Refunds a unit that was reserved on `day`.
pub async fn refund(conn: &impl ConnectionTrait, user: UserId, day: NaiveDate) -> Result<(), DbErr> {
    daily_usage::Entity::update_many()
        .col_expr(daily_usage::Column::Used, Expr::col(daily_usage::Column::Used).sub(1))
        .filter(daily_usage::Column::UserId.eq(user))
        .filter(daily_usage::Column::Day.eq(day))
        .filter(daily_usage::Column::Used.gt(0))
        .exec(conn)
        .await?;
    Ok(())
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
