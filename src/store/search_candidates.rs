//! Finds messages in the search index, newest first.

use entity::{ChatroomId, MessageId, UserId};
use sea_orm::{DbBackend, FromQueryResult, entity::prelude::*};

use super::{
    search::{SEGMENT, Term, chatroom_word, token_prefix},
    sql,
};

/// The maximum number of segments that one statement reads.
const MAX_SEGMENTS: i64 = 64;
/// By which factor the number of segments grows from one statement to the next.
const GROWTH: i64 = 2;

/// A message that contains all words.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Candidate {
    pub message_id: MessageId,
    words: String,
}

impl Candidate {
    /// The words of the message, each with how often it occurs.
    pub fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        self.words.split(' ').filter_map(|entry| {
            let (word, count) = entry.split_once(':')?;
            Some((word, count.parse().ok()?))
        })
    }
}

/// The newest messages of the user that contain all words, at most `limit`; with `until`, only that message and older ones.
pub async fn candidates(
    conn: &impl ConnectionTrait,
    user: UserId,
    chatroom: Option<ChatroomId>,
    terms: &[Term],
    until: Option<MessageId>,
    limit: usize,
) -> Result<Vec<Candidate>, DbErr> {
    let text = "SELECT first_position, next_position FROM search_users WHERE user_id = $1";
    let Some(row) = conn.query_one_raw(sql(conn, text, [user.into()])).await? else { return Ok(Vec::new()) };
    let segment = |position: i64| position.div_euclid(SEGMENT);
    let oldest = segment(row.try_get("", "first_position")?);
    let mut newest = segment(row.try_get::<i64>("", "next_position")? - 1);
    let (mut found, mut segments) = (Vec::new(), 1);
    while newest >= oldest && found.len() < limit {
        let from = oldest.max(newest + 1 - segments);
        let expression = (from..=newest)
            .map(|segment| {
                expression(conn.get_database_backend(), &token_prefix(user, segment), chatroom, terms)
            })
            .collect::<Vec<_>>()
            .join(if conn.get_database_backend() == DbBackend::Sqlite { " OR " } else { " | " });
        let text = query_text(conn.get_database_backend(), limit - found.len());
        let values = [user.into(), expression.into(), until.into()];
        found.extend(Candidate::find_by_statement(sql(conn, text, values)).all(conn).await?);
        (newest, segments) = (from - 1, MAX_SEGMENTS.min(segments * GROWTH));
    }
    Ok(found)
}

/// The condition that all words occur in a message of one segment, in the syntax of FTS5 or tsquery. Within quotes, only a quote
/// has a special meaning, and no word contains one.
fn expression(backend: DbBackend, prefix: &str, chatroom: Option<ChatroomId>, terms: &[Term]) -> String {
    let chatroom = chatroom.map(|id| Term { text: chatroom_word(id), is_prefix: false });
    let tokens: Vec<String> = terms
        .iter()
        .chain(&chatroom)
        .map(|Term { text, is_prefix }| match (backend, is_prefix) {
            (DbBackend::Sqlite, true) => format!("\"{prefix}{text}\"*"),
            (DbBackend::Sqlite, false) => format!("\"{prefix}{text}\""),
            (_, true) => format!("'{prefix}{text}':*"),
            (_, false) => format!("'{prefix}{text}'"),
        })
        .collect();
    format!("({})", tokens.join(if backend == DbBackend::Sqlite { " AND " } else { " & " }))
}

fn query_text(backend: DbBackend, limit: usize) -> String {
    match backend {
        // Reads the full-text index backwards until there are enough results.
        DbBackend::Sqlite => format!(
            "SELECT message_id, words
             FROM search_tokens CROSS JOIN search_entries ON search_entries.id = search_tokens.rowid
             WHERE search_tokens MATCH $2 AND user_id = $1 AND ($3 IS NULL OR message_id <= $3)
             ORDER BY search_tokens.rowid DESC LIMIT {limit}"
        ),
        // MATERIALIZED prevents a plan that scans the entries of all users in the order of their ids.
        _ => format!(
            "WITH found AS MATERIALIZED (
                 SELECT message_id, words FROM search_entries
                 WHERE tokens @@ $2::tsquery AND user_id = $1 AND ($3::uuid IS NULL OR message_id <= $3)
             ) SELECT * FROM found ORDER BY message_id DESC LIMIT {limit}"
        ),
    }
}
