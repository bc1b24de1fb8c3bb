//! The branches of a chatroom's message tree, one of which is active.

use std::sync::Arc;

use entity::{ChatroomId, MessageId, message};
use sea_orm::{ActiveEnum, DbBackend, QueryOrder, QueryResult, Value, entity::prelude::*};

use super::sql;

/// The condition for messages of the active branch. It is a literal, because with a bound value SQLite would not use its partial
/// index.
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
pub async fn deactivate_from(
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

/// Makes the branch from the root to `last` active. Messages below `last` are not active afterwards. If `last` is none, no
/// message is active.
pub async fn switch_to(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    last: Option<MessageId>,
    version: i64,
) -> Result<(), DbErr> {
    let Some(last) = last else { return deactivate_from(conn, chatroom, 0, version).await };
    // If `last` is active, only itself. Otherwise `last`, its inactive ancestors, and the active message from which they branch
    // off.
    let branch = "WITH RECURSIVE branch AS (
             SELECT id, parent_id, depth, active FROM messages WHERE id = $1
             UNION ALL
             SELECT messages.id, messages.parent_id, messages.depth, messages.active
             FROM messages JOIN branch ON messages.id = branch.parent_id
             WHERE NOT branch.active
         )";
    let find_fork =
        format!("{branch} SELECT coalesce(min(CASE WHEN active THEN depth + 1 END), 0) AS depth FROM branch");
    let fork = conn.query_one_raw(sql(conn, find_fork, [last.into()])).await?;
    let Some(fork) = fork else { return Ok(()) };
    deactivate_from(conn, chatroom, fork.try_get("", "depth")?, version).await?;
    let activate = format!(
        "UPDATE messages SET active = true, changed_version = $2
         WHERE id IN ({branch} SELECT id FROM branch WHERE NOT active)"
    );
    conn.execute_raw(sql(conn, activate, [last.into(), version.into()])).await.map(drop)
}

/// Of all branches through a message, finds the one to which a message was added last, and returns its last message. This is the
/// message itself if nothing follows it.
pub async fn newest_leaf(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<MessageId>, DbErr> {
    // A chatroom's version only grows, so a message was added at the same version as its parent or at a later one. Therefore the
    // message with the greatest version and, among those, the greatest depth is the newest leaf.
    let text = "WITH RECURSIVE below AS (
             SELECT id, added_version, depth FROM messages WHERE id = $1
             UNION ALL
             SELECT messages.id, messages.added_version, messages.depth
             FROM messages JOIN below ON messages.parent_id = below.id
         ) SELECT id FROM below ORDER BY added_version DESC, depth DESC LIMIT 1";
    let row = conn.query_one_raw(sql(conn, text, [id.into()])).await?;
    row.map(|row| row.try_get("", "id")).transpose()
}

/// The fields of a message that a prompt needs.
#[derive(Clone, Debug)]
pub struct HistoryMessage {
    pub id: MessageId,
    pub parent_id: Option<MessageId>,
    pub depth: i32,
    pub role: message::Role,
    pub status: message::Status,
    pub content: Arc<str>,
}

const HISTORY_COLUMNS: &str = "id, parent_id, depth, role, status, content";

/// The SQL expression that returns the messages of a subquery as one JSON text, for [`parse_history`]. `order` is `ASC` or
/// `DESC`, by depth. A prompt may have a thousand messages, and reading them as rows would cost more: on SQLite, each row is sent
/// from one thread to another.
pub(super) fn history(backend: DbBackend, subquery: &str, order: &str) -> String {
    match backend {
        DbBackend::Sqlite => format!(
            "(SELECT json_group_array(json_array(hex(id), hex(parent_id), depth, role, status, content) ORDER BY depth {order})
              FROM ({subquery}))"
        ),
        _ => format!(
            "(SELECT json_agg(json_build_array(id, parent_id, depth, role, status, content) ORDER BY depth {order})::text
              FROM ({subquery}) AS history)"
        ),
    }
}

/// Parses the column `history` of a row.
pub(super) fn parse_history(row: &QueryResult) -> Result<Vec<HistoryMessage>, DbErr> {
    /// The values of a message, in the order of [`HISTORY_COLUMNS`]. On SQLite, `hex` of a null id is an empty text.
    type Columns = (Uuid, Option<String>, i32, String, String, String);
    let invalid = |error: &dyn std::error::Error| DbErr::Json(error.to_string());
    let Some(text) = row.try_get::<Option<String>>("", "history")? else { return Ok(Vec::new()) };
    let rows: Vec<Columns> = serde_json::from_str(&text).map_err(|error| invalid(&error))?;
    let message = |(id, parent_id, depth, role, status, content): Columns| {
        let parent_id = parent_id.filter(|id| !id.is_empty()).map(|id| id.parse()).transpose();
        let parent_id = parent_id.map_err(|error: uuid::Error| invalid(&error))?.map(MessageId);
        let (role, status) = (ActiveEnum::try_from_value(&role)?, ActiveEnum::try_from_value(&status)?);
        Ok(HistoryMessage { id: MessageId(id), parent_id, depth, role, status, content: content.into() })
    };
    rows.into_iter().map(message).collect()
}

/// The subquery for the newest messages, up to `limit`, of the active branch of chatroom `$1` whose depth is greater than `after`
/// and less than `before`. Both are SQL expressions. The subquery reads a range of one index.
pub(super) fn newest_between(after: &str, before: &str, limit: usize) -> String {
    format!(
        "SELECT {HISTORY_COLUMNS} FROM messages
         WHERE chatroom_id = $1 AND {ACTIVE} AND depth > {after} AND depth < {before} ORDER BY depth DESC LIMIT {limit}"
    )
}

/// The newest messages, up to `limit`, of the active branch whose depth is less than `depth`, newest first.
pub async fn above(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    depth: i32,
    limit: usize,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let history = history(conn.get_database_backend(), &newest_between("-1", "$2", limit), "DESC");
    read_history(conn, format!("SELECT {history} AS history"), [chatroom.into(), depth.into()]).await
}

/// The first messages of the active branch, up to `limit`, oldest first.
pub async fn oldest(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    limit: usize,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let subquery = format!(
        "SELECT {HISTORY_COLUMNS} FROM messages WHERE chatroom_id = $1 AND {ACTIVE} ORDER BY depth LIMIT {limit}"
    );
    let history = history(conn.get_database_backend(), &subquery, "ASC");
    read_history(conn, format!("SELECT {history} AS history"), [chatroom.into()]).await
}

/// A message, and its ancestors whose depth is greater than `depth`, newest first. Their branch need not be active.
pub async fn ancestors(
    conn: &impl ConnectionTrait,
    id: MessageId,
    depth: i32,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let history = history(conn.get_database_backend(), "SELECT * FROM branch", "DESC");
    let text = format!(
        "WITH RECURSIVE branch AS (
             SELECT {HISTORY_COLUMNS} FROM messages WHERE id = $1
             UNION ALL
             SELECT messages.id, messages.parent_id, messages.depth, messages.role, messages.status, messages.content
             FROM messages JOIN branch ON messages.id = branch.parent_id
             WHERE messages.depth > $2
         ) SELECT {history} AS history"
    );
    read_history(conn, text, [id.into(), depth.into()]).await
}

async fn read_history(
    conn: &impl ConnectionTrait,
    text: String,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<HistoryMessage>, DbErr> {
    let row = conn.query_one_raw(sql(conn, text, values)).await?;
    row.as_ref().map_or_else(|| Ok(Vec::new()), parse_history)
}
