//! Storing a message and everything that it causes, on PostgreSQL in one statement. If that stores nothing, the caller runs the
//! steps one by one: they store the message, find the first use of its key, or return the error that rejects it.

use chrono::NaiveDate;
use entity::{ChatroomId, JobId, MessageId, Timestamp, UserId, idempotency_key, message};
use sea_orm::{DbBackend, FromQueryResult, SqlErr, Value, entity::prelude::*};

use super::{Db, commit, sql};

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
    /// Prompts that a user may use a day, without a subscription and with one.
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
    /// Prompts that the user has used on the day, with this one.
    pub used: i32,
    pub is_pro: bool,
    /// The version of the user's list of chatrooms after this.
    pub list_version: i64,
}

const STATEMENT: &str = "
    WITH tier AS (
        SELECT EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro
    ), key AS (
        INSERT INTO idempotency_keys (user_id, key, fingerprint, reply_id, created_at)
        SELECT $1, $6, $7, $4, $12 WHERE $6 IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING 1
    ), chatroom AS (
        UPDATE chatrooms SET version = version + 1, updated_at = $12
        WHERE id = $2 AND user_id = $1 AND ($6 IS NULL OR EXISTS (SELECT 1 FROM key))
        RETURNING version
    ), quota AS (
        SELECT CASE WHEN is_pro THEN $9 ELSE $8 END AS units FROM tier
    ), reserved AS (
        INSERT INTO daily_usage (user_id, day, used)
        SELECT $1, $10, 1 FROM chatroom, quota WHERE units > 0
        ON CONFLICT (user_id, day) DO UPDATE SET used = daily_usage.used + 1
        WHERE daily_usage.used < (SELECT units FROM quota)
        RETURNING used
    ), tail AS (
        SELECT id, depth FROM messages WHERE chatroom_id = $2 AND active ORDER BY depth DESC LIMIT 1
    ), sent AS (
        INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                              added_version, changed_version, created_at, completed_at)
        SELECT $3, $1, $2, tail.id, coalesce(tail.depth + 1, 0), true, 'user', $5, 'completed', 0,
               version, version, $12, $12
        FROM chatroom CROSS JOIN reserved LEFT JOIN tail ON true
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
    SELECT rows.*, used, is_pro, list_version
    FROM (SELECT * FROM sent UNION ALL SELECT * FROM reply) AS rows, reserved, tier, listed
    ORDER BY rows.depth";

/// Stores the message, its reply, the job, the reserved unit of the quota and the idempotency key. None: something rejects the
/// message, or another call changed the chatroom meanwhile, or the database is SQLite; nothing is stored.
pub async fn store(db: &Db, new: NewMessage<'_>) -> Result<Option<Stored>, DbErr> {
    if db.write().get_database_backend() == DbBackend::Sqlite {
        return Ok(None);
    }
    let values: [Value; 13] = [
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
    let tx = db.begin().await?;
    let rows = match tx.query_all_raw(sql(&tx, STATEMENT, values)).await {
        // Another message was appended to the branch after this statement's snapshot was taken.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            return Ok(None);
        }
        rows => rows?,
    };
    let [message, reply] = rows.as_slice() else { return Ok(None) };
    let stored = Stored {
        used: message.try_get("", "used")?,
        is_pro: message.try_get("", "is_pro")?,
        list_version: message.try_get("", "list_version")?,
        message: message::Model::from_query_result(message, "")?,
        reply: message::Model::from_query_result(reply, "")?,
    };
    commit(tx).await?;
    Ok(Some(stored))
}
