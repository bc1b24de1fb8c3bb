//! Queries and changes of `pollux admin`, and the log of its actions.

use entity::{JobId, Timestamp, UserId, admin_action, daily_usage, job};
use sea_orm::{
    ExprTrait, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*, sea_query::Condition,
};

use super::sql;

pub async fn insert_action(conn: &impl ConnectionTrait, action: admin_action::Model) -> Result<(), DbErr> {
    let insert = admin_action::Entity::insert(action.into_active_model());
    insert.exec_without_returning(conn).await.map(drop)
}

/// The newest actions, of one user or of all.
pub async fn actions(
    conn: &impl ConnectionTrait,
    user: Option<UserId>,
    limit: u64,
) -> Result<Vec<admin_action::Model>, DbErr> {
    let of_user = user.map(|user| admin_action::Column::UserId.eq(user));
    admin_action::Entity::find()
        .filter(of_user.map_or_else(Condition::all, |of_user| Condition::all().add(of_user)))
        .order_by_desc(admin_action::Column::At)
        .order_by_desc(admin_action::Column::Id)
        .limit(limit)
        .all(conn)
        .await
}

/// The ids and signals of the actions since a time, oldest first.
pub async fn signals_since(
    conn: &impl ConnectionTrait,
    since: Timestamp,
) -> Result<Vec<(Uuid, String)>, DbErr> {
    admin_action::Entity::find()
        .select_only()
        .columns([admin_action::Column::Id, admin_action::Column::Signals])
        .filter(admin_action::Column::At.gt(since))
        .order_by_asc(admin_action::Column::At)
        .into_tuple()
        .all(conn)
        .await
}

/// Jobs that need attention: those of which a run has failed, whose lease has expired, or that have been due since `stuck_since`.
pub async fn troubled_jobs(
    conn: &impl ConnectionTrait,
    now: Timestamp,
    stuck_since: Timestamp,
    limit: u64,
) -> Result<Vec<job::Model>, DbErr> {
    let is_stuck = job::Column::LeasedUntil.is_null().and(job::Column::RunAt.lte(stuck_since));
    job::Entity::find()
        .filter(job::Column::Failures.gt(0).or(job::Column::LeasedUntil.lte(now)).or(is_stuck))
        .order_by_asc(job::Column::CreatedAt)
        .limit(limit)
        .all(conn)
        .await
}

/// The jobs of a user, oldest first.
pub async fn jobs_of(
    conn: &impl ConnectionTrait,
    user: UserId,
    limit: u64,
) -> Result<Vec<job::Model>, DbErr> {
    job::Entity::find()
        .filter(job::Column::UserId.eq(user))
        .order_by_asc(job::Column::CreatedAt)
        .limit(limit)
        .all(conn)
        .await
}

pub async fn job(conn: &impl ConnectionTrait, id: JobId) -> Result<Option<job::Model>, DbErr> {
    job::Entity::find_by_id(id).one(conn).await
}

/// Makes a waiting job due now and resets its failures, so that it has all of its retries again. Returns false if a worker holds
/// the job, or if there is no such job.
pub async fn retry_job(conn: &impl ConnectionTrait, id: JobId, now: Timestamp) -> Result<bool, DbErr> {
    let updated = job::Entity::update_many()
        .col_expr(job::Column::RunAt, Expr::value(now))
        .col_expr(job::Column::Failures, Expr::value(0))
        .filter(job::Column::Id.eq(id))
        .filter(job::Column::LeasedUntil.is_null().or(job::Column::LeasedUntil.lte(now)))
        .exec(conn)
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Deletes a job, even a running one: further writes of its worker are rejected. Returns whether the job existed.
pub async fn drop_job(conn: &impl ConnectionTrait, id: JobId) -> Result<bool, DbErr> {
    Ok(job::Entity::delete_by_id(id).exec(conn).await?.rows_affected == 1)
}

/// Sets the prompts and tokens that a user has used on a day to 0. The reservations of unfinished replies stay.
pub async fn reset_usage(conn: &impl ConnectionTrait, user: UserId, day: Date) -> Result<(), DbErr> {
    daily_usage::Entity::update_many()
        .col_expr(daily_usage::Column::Used, Expr::value(0))
        .col_expr(daily_usage::Column::Tokens, Expr::value(0))
        .filter(daily_usage::Column::UserId.eq(user))
        .filter(daily_usage::Column::Day.eq(day))
        .exec(conn)
        .await
        .map(drop)
}

/// The statistics of the installation: each count with its name.
pub async fn stats(conn: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<(&'static str, i64)>, DbErr> {
    let day_ago = now - chrono::TimeDelta::days(1);
    // `$1` is a day ago, `$2` now. A statement gets both values or none, and must use every value that it gets: hence `$1 = $1`.
    let counts = [
        ("users", "SELECT count(*) AS n FROM users WHERE deleted_at IS NULL"),
        (
            "usersActiveInLastDay",
            "SELECT count(DISTINCT user_id) AS n FROM messages WHERE created_at > $1 AND $2 = $2",
        ),
        ("usersWithPro", "SELECT count(*) AS n FROM subscriptions WHERE pro_until > $2 AND $1 = $1"),
        ("usersBlocked", "SELECT count(*) AS n FROM blocked_users"),
        ("sessions", "SELECT count(*) AS n FROM sessions WHERE expires_at > $2 AND $1 = $1"),
        ("chatrooms", "SELECT count(*) AS n FROM chatrooms"),
        ("messages", "SELECT count(*) AS n FROM messages"),
        ("messagesInLastDay", "SELECT count(*) AS n FROM messages WHERE created_at > $1 AND $2 = $2"),
        (
            "repliesFailedInLastDay",
            "SELECT count(*) AS n FROM messages WHERE status = 'failed' AND created_at > $1 AND $2 = $2",
        ),
        ("repliesUnfinished", "SELECT count(*) AS n FROM messages WHERE status IN ('queued', 'streaming')"),
        ("jobs", "SELECT count(*) AS n FROM jobs"),
        (
            "stripeEventsGivenUp",
            "SELECT count(*) AS n FROM stripe_events WHERE processed_at IS NULL
               AND id NOT IN (SELECT stripe_event_id FROM jobs WHERE stripe_event_id IS NOT NULL)",
        ),
    ];
    let mut stats = Vec::with_capacity(counts.len());
    for (name, text) in counts {
        let values: Vec<sea_orm::Value> =
            if text.contains("$1") { vec![day_ago.into(), now.into()] } else { Vec::new() };
        let row = conn.query_one_raw(sql(conn, text, values)).await?;
        stats.push((name, row.map_or(Ok(0), |row| row.try_get("", "n"))?));
    }
    Ok(stats)
}
