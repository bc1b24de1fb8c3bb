//! Users who cannot sign in.

use entity::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr};

use super::sql;

pub async fn is_blocked(conn: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    Ok(blocked_at(conn, user).await?.is_some())
}

/// When the user was blocked; none if the user is not.
pub async fn blocked_at(conn: &impl ConnectionTrait, user: UserId) -> Result<Option<Timestamp>, DbErr> {
    let text = "SELECT blocked_at FROM blocked_users WHERE user_id = $1";
    let row = conn.query_one_raw(sql(conn, text, [user.into()])).await?;
    row.map(|row| row.try_get("", "blocked_at")).transpose()
}

/// Blocks a user; has no effect if the user is blocked already. Call this with the user's row locked, so that no session begins
/// meanwhile.
pub async fn insert(conn: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<(), DbErr> {
    let text =
        "INSERT INTO blocked_users (user_id, blocked_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
    conn.execute_raw(sql(conn, text, [user.into(), now.into()])).await.map(drop)
}

/// Unblocks a user. Returns whether the user was blocked.
pub async fn delete(conn: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    let text = "DELETE FROM blocked_users WHERE user_id = $1";
    Ok(conn.execute_raw(sql(conn, text, [user.into()])).await?.rows_affected() == 1)
}
