//! Stores a message and everything that it causes in one statement, on PostgreSQL only. If the statement stores nothing, the
//! caller runs the same steps one by one. These store the message, find the result of the first call with its key, or return
//! the error that rejects it.

use chrono::NaiveDate;
use entity::{ChatroomId, JobId, MessageId, Timestamp, UserId, idempotency_key, message};
use sea_orm::{
    DbBackend, FromQueryResult, SqlxError, Value,
    entity::prelude::*,
    sqlx::error::{DatabaseError, ErrorKind},
};

use serde_json::json;

use super::{Db, messages, sql, sqlite::transaction, transaction::sqlx_error};
use crate::telemetry::traces::{self, TRACE_PARENT};

/// A message to store, with the ids of the rows that it causes.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    pub user: UserId,
    pub chatroom: ChatroomId,
    pub message: MessageId,
    pub reply: MessageId,
    pub job_kind: &'static str,
    pub content: &'a str,
    pub key: Option<&'a idempotency_key::Model>,
    /// The maximum number of prompts per day of a user without a subscription, and of one with it.
    pub basic_limit: i32,
    pub pro_limit: i32,
    pub day: NaiveDate,
    pub now: Timestamp,
}

/// A stored message and its queued reply.
#[derive(Clone, Debug)]
pub struct Stored {
    pub message: message::Model,
    pub reply: message::Model,
    /// Prompts that the user has used on the day, this one included.
    pub used: i32,
    pub is_pro: bool,
    /// Whether the chatroom has an earlier reply that is not finished.
    pub is_behind_unfinished: bool,
    /// The version of the user's list of chatrooms after this message.
    pub list_version: i64,
}

pub enum StoreResult {
    New(Box<Stored>),
    /// The statement was committed by an earlier try, whose connection was lost before its result arrived.
    Earlier,
    /// Nothing is stored: something rejects the message, or another call changed the chatroom meanwhile.
    Nothing,
}

/// Every condition is checked before the first write. A message that passes and loses a race afterwards violates a constraint, which rolls the statement
/// back.
const POSTGRES: &str = "
    WITH tier AS (
        SELECT EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro
    ), quota AS (
        SELECT is_pro, CASE WHEN is_pro THEN $9 ELSE $8 END AS units FROM tier
    ), chatroom AS (
        UPDATE chatrooms SET version = version + 1, updated_at = $12
        FROM quota
        WHERE id = $2 AND user_id = $1
          AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $1 AND key = $6)
          AND coalesce((SELECT used FROM daily_usage WHERE user_id = $1 AND day = $10), 0) < units
        RETURNING version, units
    ), key AS (
        INSERT INTO idempotency_keys (user_id, key, fingerprint, reply_id, created_at)
        SELECT $1, $6, $7, $4, $12 FROM chatroom WHERE $6 IS NOT NULL
    ), reserved AS (
        INSERT INTO daily_usage (user_id, day, used)
        SELECT $1, $10, 1 FROM chatroom
        ON CONFLICT (user_id, day) DO UPDATE SET used = daily_usage.used + 1
        WHERE daily_usage.used < (SELECT units FROM chatroom)
        RETURNING used
    ), tail AS (
        SELECT id, depth, status FROM messages WHERE chatroom_id = $2 AND active ORDER BY depth DESC LIMIT 1
        FOR NO KEY UPDATE
    ), sent AS (
        INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                              added_version, changed_version, created_at, completed_at)
        SELECT $3, $1, $2, tail.id, CASE WHEN used IS NOT NULL THEN coalesce(tail.depth + 1, 0) END, true, 'user',
               $5, 'completed', 0, version, version, $12, $12
        FROM chatroom LEFT JOIN reserved ON true LEFT JOIN tail ON true
        RETURNING *
    ), reply AS (
        INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                              added_version, changed_version, created_at)
        SELECT $4, user_id, chatroom_id, id, depth + 1, true, 'model', '', 'queued', 0, added_version, added_version, $12
        FROM sent
        RETURNING *
    ), job AS (
        INSERT INTO jobs (id, kind, user_id, chatroom_id, message_id, position, run_at, attempt, failures,
                          stop_requested, created_at)
        SELECT $11, $13, user_id, chatroom_id, id, depth, $12, 0, 0, false, $12 FROM reply
    ), listed AS (
        UPDATE users SET chatrooms_version = chatrooms_version + 1 FROM sent WHERE users.id = $1
        RETURNING chatrooms_version AS list_version
    )
    SELECT rows.*, used, is_pro, list_version,
           EXISTS (SELECT 1 FROM tail WHERE status IN ('queued', 'streaming')) AS is_behind_unfinished
    FROM (SELECT * FROM sent UNION ALL SELECT * FROM reply) AS rows, reserved, quota, listed
    ORDER BY rows.depth";

/// Each statement has an effect only if the one before it had. There is a single writer, so nothing can change between them.
const SQLITE: [&str; 8] = [
    "UPDATE chatrooms SET version = version + 1, updated_at = $12
     WHERE id = $2 AND user_id = $1
       AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $1 AND key = $6)
       AND coalesce((SELECT used FROM daily_usage WHERE user_id = $1 AND day = $10), 0)
         < CASE WHEN EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) THEN $9 ELSE $8 END",
    "INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                           added_version, changed_version, created_at, completed_at)
     SELECT $3, $1, $2, tail.id, coalesce(tail.depth + 1, 0), true, 'user', $5, 'completed', 0, version, version, $12, $12
     FROM chatrooms LEFT JOIN (
         SELECT id, depth FROM messages WHERE chatroom_id = $2 AND active ORDER BY depth DESC LIMIT 1
     ) AS tail ON true
     WHERE chatrooms.id = $2 AND changes() = 1",
    "INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                           added_version, changed_version, created_at)
     SELECT $4, user_id, chatroom_id, id, depth + 1, true, 'model', '', 'queued', 0, added_version, added_version, $12
     FROM messages WHERE id = $3 AND changes() = 1",
    "INSERT INTO jobs (id, kind, user_id, chatroom_id, message_id, position, run_at, attempt, failures, stop_requested,
                       created_at)
     SELECT $11, $13, user_id, chatroom_id, id, depth, $12, 0, 0, false, $12 FROM messages WHERE id = $4 AND changes() = 1",
    "INSERT INTO daily_usage (user_id, day, used) SELECT $1, $10, 1 WHERE changes() = 1
     ON CONFLICT (user_id, day) DO UPDATE SET used = used + 1",
    "UPDATE users SET chatrooms_version = chatrooms_version + 1 WHERE id = $1 AND changes() = 1",
    "INSERT INTO idempotency_keys (user_id, key, fingerprint, reply_id, created_at)
     SELECT $1, $6, $7, $4, $12 WHERE $6 IS NOT NULL AND changes() = 1",
    "SELECT rows.*,
            (SELECT used FROM daily_usage WHERE user_id = $1 AND day = $10) AS used,
            EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro,
            (SELECT chatrooms_version FROM users WHERE id = $1) AS list_version,
            EXISTS (SELECT 1 FROM messages AS sent JOIN messages AS tail ON tail.id = sent.parent_id
                    WHERE sent.id = $3 AND tail.status IN ('queued', 'streaming')) AS is_behind_unfinished
     FROM messages AS rows WHERE id IN ($3, $4) ORDER BY depth",
];

/// Stores the message, its reply, the job, the reserved unit of the quota and the idempotency key.
pub async fn store(db: &Db, new: NewMessage<'_>) -> Result<StoreResult, DbErr> {
    let text = match db.write().get_database_backend() {
        DbBackend::Sqlite => transaction(&SQLITE),
        _ => POSTGRES.to_owned(),
    };
    let trace = traces::current();
    let text = if trace.is_some() { with_payload(&text, db.write().get_database_backend()) } else { text };
    let mut values: Vec<Value> = vec![
        new.user.into(),
        new.chatroom.into(),
        new.message.into(),
        new.reply.into(),
        new.content.into(),
        new.key.map(|key| key.key.clone()).into(),
        new.key.map(|key| key.fingerprint.clone()).into(),
        new.basic_limit.into(),
        new.pro_limit.into(),
        new.day.into(),
        JobId::generate().into(),
        new.now.into(),
        new.job_kind.into(),
    ];
    values.extend(trace.map(|trace| Value::from(json!({ TRACE_PARENT: trace.to_string() }))));
    let rows = match db.write().query_all_raw(sql(db.write(), text, values)).await {
        Err(error) if is_race(&error) => Vec::new(),
        rows => rows?,
    };
    let [message, reply] = rows.as_slice() else {
        let earlier = messages::owned_by(db.read(), new.user, new.reply).await?;
        return Ok(if earlier.is_some() { StoreResult::Earlier } else { StoreResult::Nothing });
    };
    Ok(StoreResult::New(Box::new(Stored {
        used: message.try_get("", "used")?,
        is_pro: message.try_get("", "is_pro")?,
        is_behind_unfinished: message.try_get("", "is_behind_unfinished")?,
        list_version: message.try_get("", "list_version")?,
        message: message::Model::from_query_result(message, "")?,
        reply: message::Model::from_query_result(reply, "")?,
    })))
}

/// The statement that also stores `$14` as the payload of the job.
fn with_payload(text: &str, backend: DbBackend) -> String {
    let payload = if backend == DbBackend::Sqlite { "$14" } else { "$14::jsonb" };
    text.replacen("INSERT INTO jobs (id,", "INSERT INTO jobs (payload, id,", 1).replacen(
        "SELECT $11, $13,",
        &format!("SELECT {payload}, $11, $13,"),
        1,
    )
}

/// Whether another call won a race after this statement's snapshot was taken: it appended to the branch or used the key, or it used
/// the last unit of the quota, so that the depth is null.
fn is_race(error: &DbErr) -> bool {
    let kind = sqlx_error(error).and_then(SqlxError::as_database_error).map(DatabaseError::kind);
    matches!(kind, Some(ErrorKind::UniqueViolation | ErrorKind::NotNullViolation))
}
