//! Messages, for reading and adding.

use entity::{ChatroomId, MessageId, UserId, message};
use sea_orm::{
    DbBackend, ExprTrait, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Value,
    entity::prelude::*,
};

use super::{
    page::{Page, Window},
    placeholders, sql,
};

pub async fn insert(conn: &impl ConnectionTrait, message: &message::Model) -> Result<(), DbErr> {
    message::Entity::insert(message.clone().into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}

pub async fn owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: MessageId,
) -> Result<Option<message::Model>, DbErr> {
    message::Entity::find_by_id(id).filter(message::Column::UserId.eq(user)).one(conn).await
}

/// A message without its content, which may be long.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Standing {
    pub status: message::Status,
    pub attempt: i32,
    length: i32,
}

impl Standing {
    /// The content's, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length.unsigned_abs() as usize
    }
}

/// How the user's message stands.
pub async fn standing(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: MessageId,
) -> Result<Option<Standing>, DbErr> {
    let text = "SELECT status, attempt, octet_length(content) AS length FROM messages WHERE id = $1 AND user_id = $2";
    Standing::find_by_statement(sql(conn, text, [id.into(), user.into()])).one(conn).await
}

/// Up to `most` bytes of an attempt's text, from `offset` on; none if the content is of another attempt.
pub async fn bytes_from(
    conn: &impl ConnectionTrait,
    id: MessageId,
    attempt: i32,
    offset: usize,
    most: usize,
) -> Result<Option<Vec<u8>>, DbErr> {
    let bytes = match conn.get_database_backend() {
        DbBackend::Sqlite => "CAST(content AS BLOB)",
        _ => "convert_to(content, 'UTF8')",
    };
    let text = format!(
        "SELECT substr({bytes}, {}, {most}) AS part FROM messages WHERE id = $1 AND attempt = $2",
        offset + 1
    );
    let row = conn.query_one_raw(sql(conn, text, [id.into(), attempt.into()])).await?;
    row.map(|row| row.try_get("", "part")).transpose()
}

/// For a worker, which acts for every user.
pub async fn by_id(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<message::Model>, DbErr> {
    message::Entity::find_by_id(id).one(conn).await
}

/// The first of a room's messages that come after this place, whether its path goes through them or not, by depth.
pub async fn of_room_after(
    conn: &impl ConnectionTrait,
    room: ChatroomId,
    after: Option<(i32, MessageId)>,
    limit: u64,
) -> Result<Vec<message::Model>, DbErr> {
    let mut messages = message::Entity::find().filter(message::Column::ChatroomId.eq(room));
    if let Some((depth, id)) = after {
        let beside = message::Column::Depth.eq(depth).and(message::Column::Id.gt(id));
        messages = messages.filter(message::Column::Depth.gt(depth).or(beside));
    }
    messages
        .order_by_asc(message::Column::Depth)
        .order_by_asc(message::Column::Id)
        .limit(limit)
        .all(conn)
        .await
}

/// For the objects that lead to a message; whoever holds one of a room's messages may see the others.
pub async fn by_ids(conn: &impl ConnectionTrait, ids: &[MessageId]) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find().filter(message::Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// For each of these rooms, a page of its path by depth: one query, however many rooms.
pub async fn pages(
    conn: &impl ConnectionTrait,
    rooms: &[ChatroomId],
    window: &Window<i32>,
) -> Result<Vec<(ChatroomId, Page<message::Model>)>, DbErr> {
    let mut values: Vec<Value> = rooms.iter().map(|&room| room.into()).collect();
    let mut bounds = String::new();
    for (depth, comparison) in [(window.after, ">"), (window.before, "<")] {
        if let Some(depth) = depth {
            values.push(depth.into());
            bounds += &format!(" AND depth {comparison} ${}", values.len());
        }
    }
    let direction = if window.backward { "DESC" } else { "ASC" };
    let text = format!(
        "SELECT * FROM (
             SELECT messages.*, row_number() OVER (PARTITION BY chatroom_id ORDER BY depth {direction}) AS place
             FROM messages WHERE active AND chatroom_id IN ({rooms}){bounds}
         ) AS placed WHERE place <= {limit} ORDER BY chatroom_id, place",
        rooms = placeholders(1, rooms.len()),
        limit = window.fetched(),
    );
    let rows = message::Model::find_by_statement(sql(conn, text, values)).all(conn).await?;
    let by_room = rows.chunk_by(|one, next| one.chatroom_id == next.chatroom_id);
    Ok(by_room.map(|rows| (rows[0].chatroom_id, window.page(rows.to_vec()))).collect())
}

/// The other versions of messages, themselves included, oldest first: those with the same parent, by the parent's id.
pub async fn children(
    conn: &impl ConnectionTrait,
    parents: &[MessageId],
) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ParentId.is_in(parents.iter().copied()))
        .order_by_asc(message::Column::Id)
        .all(conn)
        .await
}

/// The versions of these rooms' first messages, oldest first.
pub async fn roots(conn: &impl ConnectionTrait, rooms: &[ChatroomId]) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.is_in(rooms.iter().copied()))
        .filter(message::Column::ParentId.is_null())
        .order_by_asc(message::Column::Id)
        .all(conn)
        .await
}

/// What has changed in a room since a version, in the order of its changes.
pub async fn changed_since(
    conn: &impl ConnectionTrait,
    room: ChatroomId,
    version: i64,
) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.eq(room))
        .filter(message::Column::ChangedIn.gt(version))
        .order_by_asc(message::Column::ChangedIn)
        .order_by_asc(message::Column::Depth)
        .all(conn)
        .await
}

/// The replies of a room that are not finished, oldest first.
pub async fn unfinished(conn: &impl ConnectionTrait, room: ChatroomId) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.eq(room))
        // Written out, since bound values keep SQLite from its partial index.
        .filter(Expr::cust("status IN ('queued', 'streaming')"))
        .order_by_asc(message::Column::Depth)
        .all(conn)
        .await
}
