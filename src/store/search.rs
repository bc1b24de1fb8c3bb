//! The search index: one entry for each message that can be found, with its words. A user's entries are numbered from old to new;
//! the number is the entry's position. A segment is 2048 consecutive entries of one user. The database's full-text index has the
//! words as tokens that begin with the user and the segment:
//!
//! ```text
//!  positions of a user's entries:  … -2048 ──── -1 │ 0 ──── 2047 │ 2048 …      the backfill assigns negative positions
//!                                   segment -1       segment 0     segment 1
//!  token:  <user><segment><word>, such as  k3v9xg00plan
//! ```
//!
//! So the messages of other users do not slow a search down, and it reads the newest segments first until it has enough results
//! (`search_candidates`). The full-text index splits text only at spaces; the domain decides what a word is.
//!
//! A trigger queues each reply that ends. Indexing it also indexes the message that it replies to.

use std::collections::BTreeMap;

use entity::{ChatroomId, MessageId, UserId};
use sea_orm::{DbBackend, FromQueryResult, Value, entity::prelude::*};
use serde_json::json;

use super::{json_rows, sql};

pub use super::search_candidates::{Candidate, candidates};

/// Entries per segment.
pub(super) const SEGMENT: i64 = 2048;
/// Added to segment numbers, so that they are never negative.
const SEGMENT_OFFSET: i64 = 16384;
/// The digits of the numbers in [`token_prefix`].
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A word that a message must contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub text: String,
    /// Whether a word that begins with `text` also matches.
    pub is_prefix: bool,
}

impl Term {
    #[must_use]
    pub fn matches(&self, word: &str) -> bool {
        if self.is_prefix { word.starts_with(&self.text) } else { word == self.text }
    }
}

/// A message that is to be indexed.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Unindexed {
    pub id: MessageId,
    user_id: UserId,
    chatroom_id: ChatroomId,
    /// The beginning of the message.
    pub content: String,
}

/// A message with its words, and how often each of them occurs.
pub struct Entry {
    pub message: Unindexed,
    pub words: BTreeMap<String, u32>,
}

/// A reply to index with the message that it replies to: it is in the search queue, or has a job.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct ReplyToIndex {
    user_id: UserId,
    message_id: MessageId,
}

/// Whether entries are newer than all entries of the same user, or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Newer,
    /// Such entries are inserted newest first.
    Older,
}

/// Up to `limit` of the user's replies to index: those in the search queue, and replies with a job whose parent message is not
/// indexed.
pub async fn unindexed_replies_of(
    conn: &impl ConnectionTrait,
    user: UserId,
    limit: u64,
) -> Result<Vec<ReplyToIndex>, DbErr> {
    let text = format!(
        "SELECT user_id, message_id FROM search_queue WHERE user_id = $1
         UNION ALL
         SELECT jobs.user_id, jobs.message_id FROM jobs
         JOIN messages ON messages.id = jobs.message_id
         JOIN chatrooms ON chatrooms.id = messages.chatroom_id AND NOT is_temporary
         WHERE jobs.user_id = $1
           AND NOT EXISTS (SELECT 1 FROM search_entries WHERE search_entries.message_id = messages.parent_id)
         LIMIT {limit}"
    );
    ReplyToIndex::find_by_statement(sql(conn, text, [user.into()])).all(conn).await
}

/// Locks the rows of these replies in the search queue. Waits for another transaction that indexes one of them.
pub async fn lock_rows(conn: &impl ConnectionTrait, queued: &[ReplyToIndex]) -> Result<(), DbErr> {
    if conn.get_database_backend() == DbBackend::Sqlite {
        return Ok(());
    }
    let text = format!(
        "SELECT 1 FROM search_queue WHERE (user_id, message_id) IN ({}) ORDER BY user_id, message_id FOR UPDATE",
        select_rows(conn)
    );
    conn.query_all_raw(sql(conn, text, [queued_json(queued)])).await.map(drop)
}

/// Locks and returns up to `limit` rows of the search queue that no other transaction has locked.
pub async fn lock_queued(conn: &impl ConnectionTrait, limit: u64) -> Result<Vec<ReplyToIndex>, DbErr> {
    let skip = if conn.get_database_backend() == DbBackend::Sqlite { "" } else { "FOR UPDATE SKIP LOCKED" };
    let text = format!(
        "SELECT user_id, message_id FROM search_queue ORDER BY user_id, message_id LIMIT {limit} {skip}"
    );
    ReplyToIndex::find_by_statement(sql(conn, text, [])).all(conn).await
}

pub async fn delete_queued(conn: &impl ConnectionTrait, queued: &[ReplyToIndex]) -> Result<(), DbErr> {
    let text = format!("DELETE FROM search_queue WHERE (user_id, message_id) IN ({})", select_rows(conn));
    conn.execute_raw(sql(conn, text, [queued_json(queued)])).await.map(drop)
}

/// The unindexed messages among these replies, if ended, and their parents, except in temporary chatrooms. Content is cut to
/// `chars` characters.
pub async fn unindexed(
    conn: &impl ConnectionTrait,
    queued: &[ReplyToIndex],
    chars: usize,
) -> Result<Vec<Unindexed>, DbErr> {
    let ids = format!("SELECT {} FROM {}", uuid(conn, "message"), json_rows(conn));
    let text = unindexed_text(
        &format!(
            "SELECT id FROM messages WHERE id IN ({ids})
             UNION SELECT parent_id FROM messages WHERE id IN ({ids})"
        ),
        chars,
        "ASC",
    );
    Unindexed::find_by_statement(sql(conn, text, [queued_json(queued)])).all(conn).await
}

/// Locks and returns the backfill position: messages with smaller ids are still to be indexed. None if it is done or another
/// transaction has locked it.
pub async fn lock_backfill(conn: &impl ConnectionTrait) -> Result<Option<MessageId>, DbErr> {
    let skip = if conn.get_database_backend() == DbBackend::Sqlite { "" } else { "FOR UPDATE SKIP LOCKED" };
    let text = format!("SELECT before_id FROM search_backfill {skip}");
    conn.query_one_raw(sql(conn, text, [])).await?.map(|row| row.try_get("", "before_id")).transpose()
}

/// The oldest of the last `limit` messages before this one; none if there is no message before it.
pub async fn oldest_before(
    conn: &impl ConnectionTrait,
    before: MessageId,
    limit: u64,
) -> Result<Option<MessageId>, DbErr> {
    let text = format!(
        "SELECT id FROM (SELECT id FROM messages WHERE id < $1 ORDER BY id DESC LIMIT {limit}) AS older ORDER BY id LIMIT 1"
    );
    let row = conn.query_one_raw(sql(conn, text, [before.into()])).await?;
    row.map(|row| row.try_get("", "id")).transpose()
}

/// The messages in this range that have ended, can be searched and are not indexed, newest first. Content is cut to `chars`
/// characters.
pub async fn unindexed_between(
    conn: &impl ConnectionTrait,
    [from, before]: [MessageId; 2],
    chars: usize,
) -> Result<Vec<Unindexed>, DbErr> {
    let text = unindexed_text("SELECT id FROM messages WHERE id >= $1 AND id < $2", chars, "DESC");
    Unindexed::find_by_statement(sql(conn, text, [from.into(), before.into()])).all(conn).await
}

/// Stores the backfill position; none ends the backfill.
pub async fn set_backfill(conn: &impl ConnectionTrait, before: Option<MessageId>) -> Result<(), DbErr> {
    let statement = match before {
        Some(before) => sql(conn, "UPDATE search_backfill SET before_id = $1", [before.into()]),
        None => sql(conn, "DELETE FROM search_backfill", []),
    };
    conn.execute_raw(statement).await.map(drop)
}

/// The statement that selects, of the messages with these ids, those that have ended, have content, are not in a temporary
/// chatroom and are not indexed.
fn unindexed_text(ids: &str, chars: usize, direction: &str) -> String {
    format!(
        "SELECT messages.id, messages.user_id, chatroom_id, substr(content, 1, {chars}) AS content
         FROM messages JOIN chatrooms ON chatrooms.id = chatroom_id AND NOT is_temporary
         WHERE messages.id IN ({ids}) AND status IN ('completed', 'failed', 'cancelled') AND content <> ''
           AND NOT EXISTS (SELECT 1 FROM search_entries WHERE message_id = messages.id)
         ORDER BY messages.id {direction}"
    )
}

/// Inserts entries for messages that have none.
pub async fn insert(conn: &impl ConnectionTrait, entries: &[Entry], age: Age) -> Result<(), DbErr> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut positions = reserve_positions(conn, entries, age).await?;
    let mut rows = Vec::with_capacity(entries.len());
    for Entry { message, words } in entries {
        let Some(position) = positions.get_mut(&message.user_id) else { continue };
        let prefix = token_prefix(message.user_id, position.div_euclid(SEGMENT));
        *position += if age == Age::Newer { 1 } else { -1 };
        let mut tokens = format!("{prefix}{}", chatroom_word(message.chatroom_id));
        let mut counts = String::new();
        for (word, count) in words {
            tokens += &format!(" {prefix}{word}");
            counts += &format!("{}{word}:{count}", if counts.is_empty() { "" } else { " " });
        }
        rows.push(json!({
            "message": message.id.0.simple().to_string(),
            "user": message.user_id.0.simple().to_string(),
            "words": counts,
            "tokens": tokens,
        }));
    }
    let rows = Value::from(json!(rows).to_string());
    let (message, user, from) = (uuid(conn, "message"), uuid(conn, "user"), json_rows(conn));
    if conn.get_database_backend() != DbBackend::Sqlite {
        let text = format!(
            "INSERT INTO search_entries (message_id, user_id, words, tokens)
             SELECT {message}, {user}, row.value->>'words', array_to_tsvector(string_to_array(row.value->>'tokens', ' '))
             FROM {from} ON CONFLICT (message_id) DO NOTHING"
        );
        return conn.execute_raw(sql(conn, text, [rows])).await.map(drop);
    }
    // On SQLite, a search reads entries by descending id, so newer entries get greater ids.
    let id = match age {
        Age::Newer => "(SELECT coalesce(max(id), 0) + 1 FROM search_entries) + row.key",
        Age::Older => "(SELECT coalesce(min(id), 0) - 1 FROM search_entries) - row.key",
    };
    let text = format!(
        "INSERT INTO search_entries (id, message_id, user_id, words)
         SELECT {id}, {message}, {user}, row.value->>'words' FROM {from}"
    );
    conn.execute_raw(sql(conn, text, [rows.clone()])).await?;
    let text = format!(
        "INSERT INTO search_tokens (rowid, tokens)
         SELECT search_entries.id, row.value->>'tokens' FROM {from} JOIN search_entries ON message_id = {message}"
    );
    conn.execute_raw(sql(conn, text, [rows])).await.map(drop)
}

/// Reserves positions for these entries. Returns the first position to assign for each user; the caller counts up from it for
/// newer entries, and down for older ones.
async fn reserve_positions(
    conn: &impl ConnectionTrait,
    entries: &[Entry],
    age: Age,
) -> Result<BTreeMap<UserId, i64>, DbErr> {
    let mut counts: BTreeMap<UserId, i64> = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.message.user_id).or_default() += 1;
    }
    // In the order of users, so that transactions lock the rows in the same order.
    let rows: Vec<_> = counts
        .iter()
        .map(|(user, count)| {
            let (first_delta, next_delta) = if age == Age::Newer { (0, *count) } else { (-count, 0) };
            json!({ "user": user.0.simple().to_string(), "first_delta": first_delta, "next_delta": next_delta })
        })
        .collect();
    let text = format!(
        "INSERT INTO search_users (user_id, first_position, next_position)
         SELECT {user}, CAST(row.value->>'first_delta' AS BIGINT), CAST(row.value->>'next_delta' AS BIGINT)
         FROM {from} WHERE true
         ON CONFLICT (user_id) DO UPDATE SET first_position = search_users.first_position + excluded.first_position,
                                             next_position = search_users.next_position + excluded.next_position
         RETURNING user_id, first_position, next_position",
        user = uuid(conn, "user"),
        from = json_rows(conn),
    );
    let reserved = conn.query_all_raw(sql(conn, text, [json!(rows).to_string().into()])).await?;
    let position = |row: &sea_orm::QueryResult| {
        let user: UserId = row.try_get("", "user_id")?;
        let count = counts.get(&user).copied().unwrap_or_default();
        let (first, next): (i64, i64) =
            (row.try_get("", "first_position")?, row.try_get("", "next_position")?);
        Ok((user, if age == Age::Newer { next - count } else { first + count - 1 }))
    };
    reserved.iter().map(position).collect()
}

/// The beginning of each token of a segment: the last 25 bits of the user's id and 15 bits of the segment, as 8 digits of 5 bits.
/// Users whose ids end in the same bits share a prefix, so queries also compare `user_id`.
pub(super) fn token_prefix(user: UserId, segment: i64) -> String {
    let segment = u128::try_from(segment + SEGMENT_OFFSET).unwrap_or_default();
    let bits = (user.0.as_u128() & 0x1ff_ffff) << 15 | segment & 0x7fff;
    (0..8).rev().map(|digit| char::from(DIGITS[(bits >> (5 * digit)) as usize & 31])).collect()
}

/// The word by which all messages of a chatroom are found. No message contains it, because of its first character.
pub(super) fn chatroom_word(chatroom: ChatroomId) -> String {
    format!("§{}", chatroom.0.simple())
}

/// The replies as the JSON array that [`json_rows`] reads.
fn queued_json(queued: &[ReplyToIndex]) -> Value {
    let row = |row: &ReplyToIndex| {
        json!({
            "user": row.user_id.0.simple().to_string(),
            "message": row.message_id.0.simple().to_string(),
        })
    };
    json!(queued.iter().map(row).collect::<Vec<_>>()).to_string().into()
}

/// The query that returns the user and the message of each object of [`queued_json`].
fn select_rows(conn: &impl ConnectionTrait) -> String {
    format!("SELECT {}, {} FROM {}", uuid(conn, "user"), uuid(conn, "message"), json_rows(conn))
}

/// The SQL expression for an id in the objects of [`json_rows`].
fn uuid(conn: &impl ConnectionTrait, name: &str) -> String {
    match conn.get_database_backend() {
        DbBackend::Sqlite => format!("unhex(row.value->>'{name}')"),
        _ => format!("(row.value->>'{name}')::uuid"),
    }
}
