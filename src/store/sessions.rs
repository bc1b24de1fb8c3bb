//! The sessions of signed-in users.

use entity::{SessionId, Timestamp, UserId, session};
use sea_orm::{ExprTrait, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

pub async fn insert(conn: &impl ConnectionTrait, session: session::Model) -> Result<(), DbErr> {
    session::Entity::insert(session.into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}

/// The session, if it has not ended or expired.
pub async fn live(
    conn: &impl ConnectionTrait,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<session::Model>, DbErr> {
    session::Entity::find_by_id(id).filter(session::Column::ExpiresAt.gt(now)).one(conn).await
}

/// The user's live sessions, most recently refreshed first.
pub async fn owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<session::Model>, DbErr> {
    session::Entity::find()
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::ExpiresAt.gt(now))
        .order_by_desc(session::Column::LastSeenAt)
        .all(conn)
        .await
}

/// The values that a refresh of a session's token changes.
pub struct Rotation<'a> {
    pub old_hash: &'a [u8],
    pub new_hash: Vec<u8>,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

/// Replaces the hash of the refresh token. Returns false if `old_hash` is not the current one.
pub async fn rotate(
    conn: &impl ConnectionTrait,
    id: SessionId,
    rotation: Rotation<'_>,
) -> Result<bool, DbErr> {
    let rotated = session::Entity::update_many()
        .col_expr(session::Column::RefreshHash, Expr::value(rotation.new_hash))
        .col_expr(session::Column::RotatedAt, Expr::value(rotation.now))
        .col_expr(session::Column::IsReceived, Expr::value(false))
        .col_expr(session::Column::LastSeenAt, Expr::value(rotation.now))
        .col_expr(session::Column::ExpiresAt, Expr::value(rotation.expires_at))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::RefreshHash.eq(rotation.old_hash))
        .exec(conn)
        .await?;
    Ok(rotated.rows_affected == 1)
}

/// Records that the client has received the refresh token with this hash, if it is still the newest.
pub async fn set_received(conn: &impl ConnectionTrait, id: SessionId, hash: &[u8]) -> Result<(), DbErr> {
    session::Entity::update_many()
        .col_expr(session::Column::IsReceived, Expr::value(true))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::RefreshHash.eq(hash))
        .exec(conn)
        .await?;
    Ok(())
}

/// Ends the user's sessions beyond the `max` most recently refreshed ones, of which `newest` is one, and returns the ended ones.
pub async fn end_least_recent(
    conn: &impl ConnectionTrait,
    user: UserId,
    newest: SessionId,
    max: usize,
) -> Result<Vec<SessionId>, DbErr> {
    let ids: Vec<SessionId> = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::Id.ne(newest))
        .order_by_desc(session::Column::LastSeenAt)
        .order_by_desc(session::Column::Id)
        .into_tuple()
        .all(conn)
        .await?;
    match ids.get(max - 1..) {
        Some(excess) if !excess.is_empty() => {
            end_matching(conn, session::Column::Id.is_in(excess.iter().copied())).await
        }
        _ => Ok(Vec::new()),
    }
}

pub async fn end(conn: &impl ConnectionTrait, id: SessionId) -> Result<u64, DbErr> {
    Ok(session::Entity::delete_by_id(id).exec(conn).await?.rows_affected)
}

/// Ends the user's session.
pub async fn end_owned_by(conn: &impl ConnectionTrait, user: UserId, id: SessionId) -> Result<u64, DbErr> {
    let owned = session::Column::UserId.eq(user);
    Ok(session::Entity::delete_by_id(id).filter(owned).exec(conn).await?.rows_affected)
}

/// Ends all sessions of the user but one and returns them.
pub async fn end_others(
    conn: &impl ConnectionTrait,
    user: UserId,
    except: SessionId,
) -> Result<Vec<SessionId>, DbErr> {
    end_matching(conn, session::Column::UserId.eq(user).and(session::Column::Id.ne(except))).await
}

/// Ends all sessions of the user and returns them.
pub async fn end_all_owned_by(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<SessionId>, DbErr> {
    end_matching(conn, session::Column::UserId.eq(user)).await
}

async fn end_matching(conn: &impl ConnectionTrait, condition: Expr) -> Result<Vec<SessionId>, DbErr> {
    let ids = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(condition)
        .into_tuple()
        .all(conn)
        .await?;
    session::Entity::delete_many().filter(session::Column::Id.is_in(ids.iter().copied())).exec(conn).await?;
    Ok(ids)
}

/// Deletes the sessions that have expired.
pub async fn delete_expired(conn: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    let deleted =
        session::Entity::delete_many().filter(session::Column::ExpiresAt.lte(now)).exec(conn).await?;
    Ok(deleted.rows_affected)
}
