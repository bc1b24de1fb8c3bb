//! Reads and inserts messages. `branches`, `attempts` and `replies` update them.

use std::{future::ready, sync::Arc};

use entity::{ChatroomId, MessageId, UserId, message};
use futures_util::{Stream, TryStreamExt};
use sea_orm::{
    DbBackend, ExprTrait, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Value,
    entity::prelude::*,
};

use super::{
    ConnectionPool, Transaction,
    page::{Page, Window},
    placeholders, sql,
};

/// The maximum number of messages in one batch of changes.
const MAX_CHANGES: u64 = 100;

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

/// The state of a message, without its content.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Progress {
    pub status: message::Status,
    pub attempt: i32,
    length: i32,
}

impl Progress {
    /// The length of the content in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length.unsigned_abs() as usize
    }
}

/// The state of the user's message, without its content.
pub async fn progress_of(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: MessageId,
) -> Result<Option<Progress>, DbErr> {
    let text = "SELECT status, attempt, octet_length(content) AS length FROM messages WHERE id = $1 AND user_id = $2";
    Progress::find_by_statement(sql(conn, text, [id.into(), user.into()])).one(conn).await
}

/// Up to `max` bytes of an attempt's text from `offset` on. None if the content is of another attempt.
pub async fn bytes_from(
    conn: &impl ConnectionTrait,
    id: MessageId,
    attempt: i32,
    offset: usize,
    max: usize,
) -> Result<Option<Vec<u8>>, DbErr> {
    let bytes = match conn.get_database_backend() {
        DbBackend::Sqlite => "CAST(content AS BLOB)",
        _ => "convert_to(content, 'UTF8')",
    };
    let text = format!(
        "SELECT substr({bytes}, {}, {max}) AS part FROM messages WHERE id = $1 AND attempt = $2",
        offset + 1
    );
    let row = conn.query_one_raw(sql(conn, text, [id.into(), attempt.into()])).await?;
    row.map(|row| row.try_get("", "part")).transpose()
}

/// Does not check ownership: for workers.
pub async fn by_id(conn: &impl ConnectionTrait, id: MessageId) -> Result<Option<message::Model>, DbErr> {
    message::Entity::find_by_id(id).one(conn).await
}

/// The position of a message in its chatroom's tree, and the length of its content.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Position {
    pub id: MessageId,
    pub chatroom_id: ChatroomId,
    pub depth: i32,
    length: i32,
}

impl Position {
    /// The length of the content in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length.unsigned_abs() as usize
    }
}

/// The positions of up to `limit` messages of these chatrooms, on all branches, ordered by chatroom, depth and id; with
/// `after`, only those that follow it in this order.
pub async fn positions_after(
    conn: &impl ConnectionTrait,
    chatrooms: &[ChatroomId],
    after: Option<(ChatroomId, i32, MessageId)>,
    limit: u64,
) -> Result<Vec<Position>, DbErr> {
    let mut values: Vec<Value> = chatrooms.iter().map(|&chatroom| chatroom.into()).collect();
    let mut bound = String::new();
    if let Some((chatroom, depth, id)) = after {
        let first = values.len() + 1;
        values.extend([chatroom.into(), depth.into(), id.into()]);
        bound = format!(" AND (chatroom_id, depth, id) > ({})", placeholders(first, 3));
    }
    let text = format!(
        "SELECT id, chatroom_id, depth, octet_length(content) AS length FROM messages
         WHERE chatroom_id IN ({chatrooms}){bound} ORDER BY chatroom_id, depth, id LIMIT {limit}",
        chatrooms = placeholders(1, chatrooms.len()),
    );
    Position::find_by_statement(sql(conn, text, values)).all(conn).await
}

/// The positions of up to `limit` messages of the active branch whose depth is greater than `depth`, oldest first.
pub async fn active_positions_after(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    depth: i32,
    limit: u64,
) -> Result<Vec<Position>, DbErr> {
    let text = format!(
        "SELECT id, chatroom_id, depth, octet_length(content) AS length FROM messages
         WHERE chatroom_id = $1 AND active AND depth > $2 ORDER BY depth LIMIT {limit}"
    );
    Position::find_by_statement(sql(conn, text, [chatroom.into(), depth.into()])).all(conn).await
}

/// The bytes that a message takes in memory.
#[must_use]
pub fn size_of(message: &message::Model) -> usize {
    size_of_val(message) + message.content.len()
}

/// Collects rows as they arrive. `admit` checks each row before the next is read, and its first error ends the collection.
async fn collect<E: From<DbErr>>(
    rows: impl Stream<Item = Result<message::Model, DbErr>>,
    admit: impl Fn(&message::Model) -> Result<(), E>,
) -> Result<Vec<message::Model>, E> {
    rows.map_err(E::from).and_then(|row| ready(admit(&row).map(|()| row))).try_collect().await
}

/// The messages with these ids that belong to the user.
pub async fn owned_by_ids<E: From<DbErr>>(
    conn: &ConnectionPool,
    user: UserId,
    ids: &[MessageId],
    admit: impl Fn(&message::Model) -> Result<(), E>,
) -> Result<Vec<message::Model>, E> {
    let rows = message::Entity::find().filter(message::Column::Id.is_in(ids.iter().copied()));
    collect(rows.filter(message::Column::UserId.eq(user)).stream(conn).await?, admit).await
}

/// The messages with these ids. Does not check ownership, because the ids come from objects that belong to the caller.
pub async fn by_ids<E: From<DbErr>>(
    conn: &ConnectionPool,
    ids: &[MessageId],
    admit: impl Fn(&message::Model) -> Result<(), E>,
) -> Result<Vec<message::Model>, E> {
    let rows = message::Entity::find().filter(message::Column::Id.is_in(ids.iter().copied()));
    collect(rows.stream(conn).await?, admit).await
}

/// For each of these chatrooms, a page of its active branch, ordered by depth. Each page is read by the index, so the cost does
/// not depend on the lengths of the chatrooms. A chatroom without messages in the window is missing from the result.
pub async fn pages<E: From<DbErr>>(
    conn: &ConnectionPool,
    chatrooms: &[ChatroomId],
    window: &Window<i32>,
    admit: impl Fn(&message::Model) -> Result<(), E>,
) -> Result<Vec<(ChatroomId, Page<Arc<message::Model>>)>, E> {
    // SQLite permits 500 parts of a compound query.
    const PAGES_PER_QUERY: usize = 100;
    let mut pages = Vec::new();
    for chatrooms in chatrooms.chunks(PAGES_PER_QUERY) {
        let mut values: Vec<Value> = chatrooms.iter().map(|&chatroom| chatroom.into()).collect();
        let mut bounds = String::new();
        for (depth, comparison) in [(window.after, ">"), (window.before, "<")] {
            if let Some(depth) = depth {
                values.push(depth.into());
                bounds += &format!(" AND depth {comparison} ${}", values.len());
            }
        }
        let (direction, limit) = (if window.backward { "DESC" } else { "ASC" }, window.fetched());
        let rest = format!("active{bounds} ORDER BY depth {direction} LIMIT {limit}");
        let page = |chatroom| {
            format!(
                "SELECT * FROM (SELECT * FROM messages WHERE chatroom_id = ${chatroom} AND {rest}) AS page"
            )
        };
        let union = (1..=chatrooms.len()).map(page).collect::<Vec<_>>().join(" UNION ALL ");
        let text = format!("SELECT * FROM ({union}) AS pages ORDER BY chatroom_id, depth {direction}");
        let rows = message::Model::find_by_statement(sql(conn, text, values)).stream(conn).await?;
        let rows: Vec<_> = collect(rows, &admit).await?.into_iter().map(Arc::new).collect();
        let by_chatroom = rows.chunk_by(|row, next| row.chatroom_id == next.chatroom_id);
        pages.extend(by_chatroom.map(|rows| (rows[0].chatroom_id, window.page(rows.to_vec()))));
    }
    Ok(pages)
}

/// The position that all versions of a message share: after their parent, or at the beginning of the chatroom. Versions of a
/// message are siblings in the tree, such as a reply and its regenerated replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionsAt {
    After(MessageId),
    BeginningOf(ChatroomId),
}

impl VersionsAt {
    /// The position of this message.
    #[must_use]
    pub fn of(message: &message::Model) -> Self {
        message.parent_id.map_or(Self::BeginningOf(message.chatroom_id), Self::After)
    }
}

/// For each of these positions, its newest versions, at most `limit` and oldest first; with `before`, only versions older
/// than that message.
pub async fn versions<E: From<DbErr>>(
    conn: &ConnectionPool,
    positions: &[VersionsAt],
    limit: usize,
    before: Option<MessageId>,
    admit: impl Fn(&message::Model) -> Result<(), E>,
) -> Result<Vec<message::Model>, E> {
    let (mut values, mut after, mut beginning): (Vec<Value>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for position in positions {
        let (value, group) = match *position {
            VersionsAt::After(parent) => (parent.into(), &mut after),
            VersionsAt::BeginningOf(chatroom) => (chatroom.into(), &mut beginning),
        };
        values.push(value);
        group.push(format!("${}", values.len()));
    }
    let older = before.map_or(String::new(), |before| {
        values.push(before.into());
        format!(" AND id < ${}", values.len())
    });
    let groups =
        [("parent_id IN", after), ("parent_id IS NULL AND chatroom_id IN", beginning)].into_iter().filter_map(
            |(condition, positions)| {
                (!positions.is_empty()).then(|| {
                    format!(
                        "SELECT messages.*, row_number() OVER (PARTITION BY chatroom_id, parent_id ORDER BY id DESC) \
                         AS row_number FROM messages WHERE {condition} ({}){older}",
                        positions.join(", ")
                    )
                })
            },
        );
    let text = format!(
        "SELECT * FROM ({}) AS numbered WHERE row_number <= {limit} ORDER BY id",
        groups.collect::<Vec<_>>().join(" UNION ALL ")
    );
    let rows = message::Model::find_by_statement(sql(conn, text, values));
    collect(rows.stream(conn).await?, admit).await
}

/// Stores the feedback on a reply. None if the reply has not ended.
pub async fn rate(
    conn: &impl ConnectionTrait,
    reply: MessageId,
    feedback: Option<message::Feedback>,
    version: i64,
) -> Result<Option<message::Model>, DbErr> {
    let rated = message::Entity::update_many()
        .col_expr(message::Column::Feedback, Expr::value(feedback))
        .col_expr(message::Column::ChangedVersion, Expr::value(version))
        .filter(message::Column::Id.eq(reply))
        .filter(message::Column::Status.is_not_in([message::Status::Queued, message::Status::Streaming]))
        .exec_with_returning(conn)
        .await?;
    Ok(rated.into_iter().next())
}

/// The sort key of a message among the changes of its chatroom.
#[derive(Clone, Copy, Debug)]
pub struct ChangeKey {
    pub version: i64,
    depth: i32,
    id: MessageId,
}

impl ChangeKey {
    fn of(message: &message::Model) -> Self {
        Self { version: message.changed_version, depth: message.depth, id: message.id }
    }
}

/// Messages that changed, in the order of their changes, and the key of the next one if there are more.
#[derive(Debug, Default)]
pub struct Changes {
    pub messages: Vec<message::Model>,
    pub next: Option<ChangeKey>,
}

/// The messages that have changed in a chatroom since a version, in the order of their changes; with `from`, beginning at that
/// key. Returns at most `MAX_CHANGES` messages and `max_bytes` of content, but at least one message if there is any.
pub async fn changed_since(
    conn: &Transaction,
    chatroom: ChatroomId,
    version: i64,
    from: Option<ChangeKey>,
    max_bytes: usize,
) -> Result<Changes, DbErr> {
    use message::Column::{ChangedVersion, ChatroomId, Depth, Id};
    let mut changed =
        message::Entity::find().filter(ChatroomId.eq(chatroom)).filter(ChangedVersion.gt(version));
    if let Some(ChangeKey { version, depth, id }) = from {
        let of_version = Depth.gt(depth).or(Depth.eq(depth).and(Id.gte(id)));
        changed = changed.filter(ChangedVersion.gt(version).or(ChangedVersion.eq(version).and(of_version)));
    }
    let changed = changed.order_by_asc(ChangedVersion).order_by_asc(Depth).order_by_asc(Id);
    let mut rows = changed.limit(MAX_CHANGES + 1).stream(conn).await?;
    let (mut found, mut bytes) = (Changes::default(), 0);
    while let Some(message) = rows.try_next().await? {
        bytes += message.content.len();
        let is_full = bytes > max_bytes || found.messages.len() as u64 == MAX_CHANGES;
        if is_full && !found.messages.is_empty() {
            found.next = Some(ChangeKey::of(&message));
            break;
        }
        found.messages.push(message);
    }
    Ok(found)
}

/// The replies of these chatrooms that are queued or streaming, oldest first.
pub async fn unfinished(
    conn: &impl ConnectionTrait,
    chatrooms: &[ChatroomId],
) -> Result<Vec<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.is_in(chatrooms.iter().copied()))
        // The states are literals, because with bound values SQLite would not use its partial index.
        .filter(Expr::cust("status IN ('queued', 'streaming')"))
        .order_by_asc(message::Column::Depth)
        .all(conn)
        .await
}
