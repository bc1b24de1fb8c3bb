//! The billing state of users: one row for each who has a Stripe customer or was granted Pro.

use entity::{Timestamp, UserId, subscription};
use sea_orm::{
    ActiveModelTrait, DbBackend, ExprTrait, IntoActiveModel, QuerySelect, SqlErr, entity::prelude::*,
    sea_query::OnConflict,
};
use subscription::{Column, Entity};

use super::sql;

pub async fn of_user(
    conn: &impl ConnectionTrait,
    user: UserId,
) -> Result<Option<subscription::Model>, DbErr> {
    Entity::find_by_id(user).one(conn).await
}

pub async fn of_users(
    conn: &impl ConnectionTrait,
    users: &[UserId],
) -> Result<Vec<subscription::Model>, DbErr> {
    Entity::find().filter(Column::UserId.is_in(users.iter().copied())).all(conn).await
}

/// The user of a Stripe customer.
pub async fn user_of(conn: &impl ConnectionTrait, customer: &str) -> Result<Option<UserId>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::UserId)
        .filter(Column::StripeCustomerId.eq(customer))
        .into_tuple()
        .one(conn)
        .await
}

/// Inserts a user's row, unless the user already has one or has been deleted.
pub async fn insert(conn: &impl ConnectionTrait, new: subscription::Model) -> Result<(), DbErr> {
    let keep_existing = OnConflict::new().do_nothing().to_owned();
    match Entity::insert(new.into_active_model())
        .on_conflict(keep_existing)
        .exec_without_returning(conn)
        .await
    {
        Err(error) if matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))) => Ok(()),
        stored => stored.map(drop),
    }
}

/// Replaces the row, unless it has changed since `subscription` was read. Returns whether the row was replaced.
pub async fn update_if_unchanged(
    conn: &impl ConnectionTrait,
    subscription: &subscription::Model,
) -> Result<bool, DbErr> {
    let read_version = subscription.version;
    let new = subscription::Model { version: read_version + 1, ..subscription.clone() };
    let replaced = Entity::update_many()
        .set(new.into_active_model().reset_all())
        .filter(Column::UserId.eq(subscription.user_id))
        .filter(Column::Version.eq(read_version))
        .exec(conn)
        .await?;
    Ok(replaced.rows_affected == 1)
}

/// Stores the reversal of the user's last reversed payment. Increments the version, so that a sync that began earlier does not
/// overwrite the reversal.
pub async fn set_reversal(
    conn: &impl ConnectionTrait,
    user: UserId,
    reversal: &str,
    at: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Reversal, Expr::value(reversal))
        .col_expr(Column::ReversedAt, Expr::value(at))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::UserId.eq(user))
        .exec(conn)
        .await?;
    Ok(())
}

/// A row is stale if its last sync was at or before the time that applies to it. Here, a canceled subscription is treated as if
/// there were no subscription.
#[derive(Clone, Copy, Debug)]
pub struct StaleBefore {
    /// Applies while a change is expected: a checkout is open, or there is a subscription whose period has ended or that is
    /// neither active nor in its trial.
    pub expecting: Timestamp,
    /// Applies while there is a subscription and no change is expected.
    pub subscribed: Timestamp,
}

/// Takes up to `limit` users whose row is stale, beginning with the one synced longest ago, and marks their rows as synced at
/// `now`, so that no two callers take the same user.
pub async fn take_stale(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    before: StaleBefore,
    limit: u64,
) -> Result<Vec<UserId>, DbErr> {
    let lock = match conn.get_database_backend() {
        // SQLite has a single writer, so no two transactions take the same rows.
        DbBackend::Sqlite => "",
        _ => "FOR UPDATE SKIP LOCKED",
    };
    let statement = sql(
        conn,
        format!(
            "UPDATE subscriptions SET updated_at = $1 WHERE user_id IN (
                 SELECT user_id FROM subscriptions
                 WHERE updated_at <= $2 AND (
                     state NOT IN ('none', 'canceled')
                         AND (current_period_end <= $1 OR state NOT IN ('active', 'trialing') OR updated_at <= $3)
                     OR user_id IN (SELECT user_id FROM checkouts WHERE status = 'open'))
                 ORDER BY updated_at LIMIT {limit} {lock}
             ) RETURNING user_id"
        ),
        [now.into(), before.expecting.into(), before.subscribed.into()],
    );
    conn.query_all_raw(statement).await?.into_iter().map(|row| row.try_get("", "user_id")).collect()
}

/// Deletes the user's row, if it holds this Stripe customer.
pub async fn delete(conn: &impl ConnectionTrait, user: UserId, customer: &str) -> Result<(), DbErr> {
    let of_customer = Column::StripeCustomerId.eq(customer);
    Entity::delete_by_id(user).filter(of_customer).exec(conn).await.map(drop)
}
