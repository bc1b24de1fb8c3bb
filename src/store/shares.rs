//! Shared chatrooms. A share refers to the messages that it shows; they do not change, because only ended ones are shared.

use entity::{ChatroomId, ShareId, Timestamp, UserId, chatroom_share, message};
use sea_orm::{
    ExprTrait, FromQueryResult, IntoActiveModel, PaginatorTrait, QueryOrder, Value, entity::prelude::*,
};

use super::{
    page::{Page, Window},
    sql,
};
use chatroom_share::{Column, Entity, Model};

/// Stores a share, with references to the messages of the active branch that have ended and have text.
pub async fn insert(conn: &impl ConnectionTrait, share: &Model) -> Result<(), DbErr> {
    Entity::insert(share.clone().into_active_model()).exec_without_returning(conn).await?;
    let text = "INSERT INTO share_messages (share_id, depth, message_id)
         SELECT $1, depth, id FROM messages
         WHERE chatroom_id = $2 AND active AND status NOT IN ('queued', 'streaming') AND content <> ''";
    conn.execute_raw(sql(conn, text, [share.id.into(), share.chatroom_id.into()])).await.map(drop)
}

fn unexpired(now: Timestamp) -> Expr {
    Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now))
}

/// The share, unless it has expired or its owner has deleted the account. Does not check ownership: everyone who knows the id may
/// read the share.
pub async fn readable(
    conn: &impl ConnectionTrait,
    id: ShareId,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let text = "SELECT chatroom_shares.* FROM chatroom_shares JOIN users ON users.id = user_id
         WHERE chatroom_shares.id = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    Model::find_by_statement(sql(conn, text, [id.into(), now.into()])).one(conn).await
}

pub async fn owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ShareId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user)).one(conn).await
}

/// The shares of these chatrooms that have not expired, oldest first.
pub async fn of_chatrooms(
    conn: &impl ConnectionTrait,
    chatrooms: &[ChatroomId],
    now: Timestamp,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::ChatroomId.is_in(chatrooms.iter().copied()))
        .filter(unexpired(now))
        .order_by_asc(Column::Id)
        .all(conn)
        .await
}

/// The number of shares of a chatroom that have not expired.
pub async fn count(conn: &impl ConnectionTrait, chatroom: ChatroomId, now: Timestamp) -> Result<u64, DbErr> {
    Entity::find().filter(Column::ChatroomId.eq(chatroom)).filter(unexpired(now)).count(conn).await
}

/// Deletes a share. Returns false if it does not exist.
pub async fn delete(conn: &impl ConnectionTrait, id: ShareId) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(id).exec(conn).await?.rows_affected == 1)
}

/// Deletes shares that have expired.
pub async fn delete_expired(conn: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lte(now)).exec(conn).await?.rows_affected)
}

/// A page of the messages of a share, ordered by depth.
pub async fn page(
    conn: &impl ConnectionTrait,
    share: ShareId,
    window: &Window<i32>,
) -> Result<Page<message::Model>, DbErr> {
    let (after, before) = (window.after.unwrap_or(-1), window.before.unwrap_or(i32::MAX));
    let values: [Value; 3] = [share.into(), after.into(), before.into()];
    let text = format!(
        "SELECT messages.* FROM share_messages JOIN messages ON messages.id = message_id
         WHERE share_id = $1 AND share_messages.depth > $2 AND share_messages.depth < $3
         ORDER BY share_messages.depth {direction} LIMIT {limit}",
        direction = if window.backward { "DESC" } else { "ASC" },
        limit = window.fetched(),
    );
    Ok(window.page(message::Model::find_by_statement(sql(conn, text, values)).all(conn).await?))
}
