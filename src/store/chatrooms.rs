//! Chatrooms.

use entity::{ChatroomId, MessageId, Timestamp, UserId, chatroom, message};
use sea_orm::{
    DbBackend, ExprTrait, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Value,
    entity::prelude::*,
};

use super::{
    page::{Page, Window},
    placeholders, sql,
};

/// The sort key of a chatroom in its owner's list: pinned chatrooms first, then the newest activity first.
pub type Key = (i16, Timestamp, ChatroomId);

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

/// The chatrooms with these ids that belong to the user.
pub async fn owned_by_ids(
    conn: &impl ConnectionTrait,
    user: UserId,
    ids: &[ChatroomId],
) -> Result<Vec<chatroom::Model>, DbErr> {
    let ids = chatroom::Column::Id.is_in(ids.iter().copied());
    chatroom::Entity::find().filter(ids).filter(chatroom::Column::UserId.eq(user)).all(conn).await
}

/// The chatrooms with these ids. Does not check ownership, because the ids come from objects that belong to the caller.
pub async fn by_ids(conn: &impl ConnectionTrait, ids: &[ChatroomId]) -> Result<Vec<chatroom::Model>, DbErr> {
    chatroom::Entity::find().filter(chatroom::Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// The versions of all chatrooms of the user, ordered by id.
pub async fn versions_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
) -> Result<Vec<(ChatroomId, i64)>, DbErr> {
    let mut versions: Vec<(ChatroomId, i64)> = chatroom::Entity::find()
        .select_only()
        .column(chatroom::Column::Id)
        .column(chatroom::Column::Version)
        .filter(chatroom::Column::UserId.eq(user))
        .into_tuple()
        .all(conn)
        .await?;
    versions.sort_unstable();
    Ok(versions)
}

/// A page of the user's chatrooms that are archived, or of those that are not.
pub async fn page_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    archived: bool,
    window: &Window<Key>,
) -> Result<Page<chatroom::Model>, DbErr> {
    let mut bounds = String::new();
    let mut values: Vec<Value> = vec![user.into()];
    for (key, comparison) in [(window.after, "<"), (window.before, ">")] {
        if let Some((rank, updated_at, id)) = key {
            let key = placeholders(values.len() + 1, 3);
            values.extend([rank.into(), updated_at.into(), id.into()]);
            bounds += &format!(" AND (list_rank, updated_at, id) {comparison} ({key})");
        }
    }
    let direction = if window.backward { "ASC" } else { "DESC" };
    let text = format!(
        "SELECT * FROM chatrooms WHERE user_id = $1 AND list_rank {ranks} {rank}{bounds}
         ORDER BY list_rank {direction}, updated_at {direction}, id {direction} LIMIT {limit}",
        ranks = if archived { "=" } else { ">" },
        rank = chatroom::Model::ARCHIVED,
        limit = window.fetched(),
    );
    let rows = chatroom::Model::find_by_statement(sql(conn, text, values)).all(conn).await?;
    Ok(window.page(rows))
}

/// The number of the user's chatrooms that are archived, or of those that are not.
pub async fn count_owned_by(conn: &impl ConnectionTrait, user: UserId, archived: bool) -> Result<u64, DbErr> {
    let is_archived = chatroom::Column::ListRank.eq(chatroom::Model::ARCHIVED);
    chatroom::Entity::find()
        .filter(chatroom::Column::UserId.eq(user))
        .filter(if archived { is_archived } else { is_archived.not() })
        .count(conn)
        .await
}

/// Locks the chatroom's row and increments its version. Every transaction in which the owner changes a chatroom calls this
/// first. With `activity`, the time of an activity, the chatroom moves up in its owner's list. Returns none if the user has no
/// such chatroom.
pub async fn increment_version_if_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ChatroomId,
    activity: Option<Timestamp>,
) -> Result<Option<chatroom::Model>, DbErr> {
    let mut increment = chatroom::Entity::update_many()
        .col_expr(chatroom::Column::Version, Expr::col(chatroom::Column::Version).add(1))
        .filter(chatroom::Column::Id.eq(id))
        .filter(chatroom::Column::UserId.eq(user));
    if let Some(now) = activity {
        increment = increment.col_expr(chatroom::Column::UpdatedAt, Expr::value(now));
    }
    Ok(increment.exec_with_returning(conn).await?.into_iter().next())
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

/// Stores a title that the model has generated, and increments the version. None if the title is not the default one any more.
pub async fn set_generated_title(
    conn: &impl ConnectionTrait,
    id: ChatroomId,
    title: &str,
) -> Result<Option<chatroom::Model>, DbErr> {
    use chatroom::{Column, TitleSource};
    let stored = chatroom::Entity::update_many()
        .col_expr(Column::Title, Expr::value(title))
        .col_expr(Column::TitleSource, Expr::value(TitleSource::Model))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::ChangedVersion, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::TitleSource.eq(TitleSource::Default))
        .exec_with_returning(conn)
        .await?;
    Ok(stored.into_iter().next())
}

/// Stores the edits to a chatroom that [`increment_version_if_owned_by`] has returned.
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

/// Up to `limit` temporary chatrooms without activity since `before`, each with its owner.
pub async fn expired(
    conn: &impl ConnectionTrait,
    before: Timestamp,
    limit: u64,
) -> Result<Vec<(ChatroomId, UserId)>, DbErr> {
    chatroom::Entity::find()
        .select_only()
        .column(chatroom::Column::Id)
        .column(chatroom::Column::UserId)
        // This is a literal, because with a bound value SQLite would not use its partial index.
        .filter(Expr::cust("is_temporary"))
        .filter(chatroom::Column::UpdatedAt.lt(before))
        .limit(limit)
        .into_tuple()
        .all(conn)
        .await
}

/// Deletes the chatrooms with these ids that belong to the user, and everything in them. With `inactive_since`, deletes only
/// those without activity since then. In this case, the caller passes a single id, and rolls back if the chatroom is not deleted,
/// because its messages may have been changed. Returns the number of deleted chatrooms.
pub async fn delete_owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    ids: &[ChatroomId],
    inactive_since: Option<Timestamp>,
) -> Result<u64, DbErr> {
    if conn.get_database_backend() == DbBackend::Sqlite {
        // Removes the links from messages to their parents first. Otherwise the deletion would cascade along the links, message
        // by message, and in a long chatroom exceed SQLite's recursion limit. PostgreSQL has no foreign key for these links.
        message::Entity::update_many()
            .col_expr(message::Column::ParentId, Expr::value(None::<MessageId>))
            .filter(message::Column::ChatroomId.is_in(ids.iter().copied()))
            .filter(message::Column::UserId.eq(user))
            .exec(conn)
            .await?;
    }
    let mut delete = chatroom::Entity::delete_many()
        .filter(chatroom::Column::Id.is_in(ids.iter().copied()))
        .filter(chatroom::Column::UserId.eq(user));
    if let Some(inactive_since) = inactive_since {
        delete = delete.filter(chatroom::Column::UpdatedAt.lt(inactive_since));
    }
    Ok(delete.exec(conn).await?.rows_affected)
}

/// The bytes that a chatroom takes in memory.
#[must_use]
pub fn size_of(chatroom: &chatroom::Model) -> usize {
    let instruction = chatroom.system_instruction.as_ref().map_or(0, String::len);
    size_of_val(chatroom) + chatroom.title.len() + chatroom.model.len() + instruction
}
