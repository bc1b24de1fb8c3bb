//! The branches of a chatroom's message tree, one of which is active.

use entity::{ChatroomId, MessageId, message};
use sea_orm::{FromQueryResult, QueryOrder, entity::prelude::*};

use super::sql;

/// A literal: with a bound value SQLite does not use its partial index.
const ACTIVE: &str = "active";

/// The last message of the active branch.
pub async fn tail(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
) -> Result<Option<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.eq(chatroom))
        .filter(Expr::cust(ACTIVE))
        .order_by_desc(message::Column::Depth)
        .one(conn)
        .await
}

/// Ends the active branch before `depth`. The messages from `depth` on stay in the tree, but are no longer active.
pub async fn truncate(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    depth: i32,
    version: i64,
) -> Result<(), DbErr> {
    message::Entity::update_many()
        .col_expr(message::Column::Active, Expr::value(false))
        .col_expr(message::Column::ChangedVersion, Expr::value(version))
        .filter(message::Column::ChatroomId.eq(chatroom))
        .filter(Expr::cust(ACTIVE))
        .filter(message::Column::Depth.gte(depth))
        .exec(conn)
        .await?;
    Ok(())
}

/// What a prompt needs of a message.
#[derive(Clone, Debug, FromQueryResult)]
pub struct HistoryMessage {
    pub id: MessageId,
    pub parent_id: Option<MessageId>,
    pub depth: i32,
    pub role: message::Role,
    pub status: message::Status,
    pub content: String,
}

pub(super) const HISTORY_COLUMNS: &str = "id, parent_id, depth, role, status, content";

/// Up to `limit` messages of the active branch whose depth is less than `depth`, newest first. Reads a range of one index.
pub async fn above(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    depth: i32,
    limit: usize,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let text = format!(
        "SELECT {HISTORY_COLUMNS} FROM messages WHERE chatroom_id = $1 AND {ACTIVE} AND depth < $2
         ORDER BY depth DESC LIMIT {limit}"
    );
    HistoryMessage::find_by_statement(sql(conn, text, [chatroom.into(), depth.into()])).all(conn).await
}

/// A message, and its ancestors whose depth is greater than `depth`, newest first. Their branch need not be active.
pub async fn ancestors(
    conn: &impl ConnectionTrait,
    id: MessageId,
    depth: i32,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let text = format!(
        "WITH RECURSIVE branch AS (
             SELECT {HISTORY_COLUMNS} FROM messages WHERE id = $1
             UNION ALL
             SELECT messages.id, messages.parent_id, messages.depth, messages.role, messages.status, messages.content
             FROM messages JOIN branch ON messages.id = branch.parent_id
             WHERE messages.depth > $2
         ) SELECT * FROM branch ORDER BY depth DESC"
    );
    HistoryMessage::find_by_statement(sql(conn, text, [id.into(), depth.into()])).all(conn).await
}
