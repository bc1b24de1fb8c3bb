//! Chatrooms.

use entity::{ChatroomId, MessageId, Timestamp, UserId, chatroom, message};
use sea_orm::{
    ExprTrait, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Value, entity::prelude::*,
};

use super::{
    page::{Page, Window},
    sql,
};

/// The sort key of a chatroom in its owner's list, newest activity first.
pub type Key = (Timestamp, ChatroomId);

pub async fn insert(conn: &impl ConnectionTrait, chatroom: &chatroom::Model) -> Result<(), DbErr> {
    chatroom::Entity::insert(chatroom.clone().into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}

pub async fn owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ChatroomId,
) -> Result<Option<chatroom::Model>, DbErr> {
    chatroom::Entity::find_by_id(id).filter(chatroom::Column::UserId.eq(user)).one(conn).await
}

/// Does not check ownership: for chatrooms that objects of the caller link to.
pub async fn by_ids(conn: &impl ConnectionTrait, ids: &[ChatroomId]) -> Result<Vec<chatroom::Model>, DbErr> {
    chatroom::Entity::find().filter(chatroom::Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// A page of the user's chatrooms.
pub async fn page_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    window: &Window<Key>,
) -> Result<Page<chatroom::Model>, DbErr> {
    let mut bounds = String::new();
    let mut values: Vec<Value> = vec![user.into()];
    for (key, comparison) in [(window.after, "<"), (window.before, ">")] {
        if let Some((updated_at, id)) = key {
            values.extend([updated_at.into(), id.into()]);
            let last = values.len();
            bounds += &format!(" AND (updated_at, id) {comparison} (${}, ${last})", last - 1);
        }
    }
    let direction = if window.backward { "ASC" } else { "DESC" };
    let text = format!(
        "SELECT * FROM chatrooms WHERE user_id = $1{bounds}
         ORDER BY updated_at {direction}, id {direction} LIMIT {limit}",
        limit = window.fetched(),
    );
    let rows = chatroom::Model::find_by_statement(sql(conn, text, values)).all(conn).await?;
    Ok(window.page(rows))
}

/// Locks the chatroom's row and increments its version. Every transaction in which the owner changes a chatroom calls this
/// first. The activity at `now` moves the chatroom to the top of its owner's list. Returns none if the user has no such
/// chatroom.
pub async fn increment_version_of_owned(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ChatroomId,
    now: Timestamp,
) -> Result<Option<chatroom::Model>, DbErr> {
    let incremented = chatroom::Entity::update_many()
        .col_expr(chatroom::Column::Version, Expr::col(chatroom::Column::Version).add(1))
        .col_expr(chatroom::Column::UpdatedAt, Expr::value(now))
        .filter(chatroom::Column::Id.eq(id))
        .filter(chatroom::Column::UserId.eq(user))
        .exec_with_returning(conn)
        .await?;
    Ok(incremented.into_iter().next())
}

/// Locks the chatroom's row and increments its version, for a change that its owner did not make. Returns none if it was deleted.
pub async fn increment_version(
    conn: &impl ConnectionTrait,
    id: ChatroomId,
) -> Result<Option<chatroom::Model>, DbErr> {
    let incremented = chatroom::Entity::update_many()
        .col_expr(chatroom::Column::Version, Expr::col(chatroom::Column::Version).add(1))
        .filter(chatroom::Column::Id.eq(id))
        .exec_with_returning(conn)
        .await?;
    Ok(incremented.into_iter().next())
}

/// Stores the edits to a chatroom that [`increment_version_of_owned`] has returned.
pub async fn save(conn: &impl ConnectionTrait, chatroom: &chatroom::Model) -> Result<(), DbErr> {
    let edited = chatroom.clone().into_active_model().reset_all();
    chatroom::Entity::update(edited).exec(conn).await?;
    Ok(())
}

/// Up to `limit` of the user's chatrooms, oldest first; with `after`, only those created after that one.
pub async fn owned_by_after(
    conn: &impl ConnectionTrait,
    user: UserId,
    after: Option<ChatroomId>,
    limit: u64,
) -> Result<Vec<chatroom::Model>, DbErr> {
    let mut chatrooms = chatroom::Entity::find().filter(chatroom::Column::UserId.eq(user));
    if let Some(after) = after {
        chatrooms = chatrooms.filter(chatroom::Column::Id.gt(after));
    }
    chatrooms.order_by_asc(chatroom::Column::Id).limit(limit).all(conn).await
}

/// Up to `limit` of the user's chatrooms, in no particular order.
pub async fn some_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    limit: u64,
) -> Result<Vec<ChatroomId>, DbErr> {
    chatroom::Entity::find()
        .select_only()
        .column(chatroom::Column::Id)
        .filter(chatroom::Column::UserId.eq(user))
        .limit(limit)
        .into_tuple()
        .all(conn)
        .await
}

/// Deletes the chatroom and everything in it. Returns false if it does not exist.
pub async fn delete_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ChatroomId,
) -> Result<bool, DbErr> {
    // Removes the links between messages first: along them, the cascade would delete a long chatroom message by message and
    // exceed the database's recursion limit.
    message::Entity::update_many()
        .col_expr(message::Column::ParentId, Expr::value(None::<MessageId>))
        .filter(message::Column::ChatroomId.eq(id))
        .filter(message::Column::UserId.eq(user))
        .exec(conn)
        .await?;
    let owned = chatroom::Column::UserId.eq(user);
    Ok(chatroom::Entity::delete_by_id(id).filter(owned).exec(conn).await?.rows_affected == 1)
}

/// The bytes that a chatroom takes in memory.
#[must_use]
pub fn size_of(chatroom: &chatroom::Model) -> usize {
    let instruction = chatroom.system_instruction.as_ref().map_or(0, String::len);
    size_of_val(chatroom) + chatroom.title.len() + chatroom.model.len() + instruction
}
