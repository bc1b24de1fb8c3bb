//! Stores a message and everything that it causes: with one statement on PostgreSQL, with one transaction that is sent as one
//! text on SQLite. If nothing is stored, the caller runs the steps one by one. They store the message if this call only lost a
//! race with another one; otherwise they find the reason: a repeated key or an error.

use std::sync::LazyLock;

use entity::{ChatroomId, JobId, MessageId, Timestamp, UserId, idempotency_key};
use sea_orm::{
    DbBackend, FromQueryResult, SqlxError, Value,
    entity::prelude::*,
    sqlx::error::{DatabaseError, ErrorKind},
};
use serde_json::json;

use super::{
    Db, messages, sql,
    sqlite::statements,
    transaction::sqlx_error,
    usage::{BudgetInputs, Limits, Period, token_budget},
};
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
    pub limits: Limits,
    pub period: Period,
    pub now: Timestamp,
}

/// What the database has determined for a stored message and its reply.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Stored {
    /// The version of the chatroom after this message.
    pub version: i64,
    /// The message that this one follows.
    pub parent_id: Option<MessageId>,
    pub depth: i32,
    /// Prompts that the user has used on the day, this one included.
    pub used: i32,
    pub is_pro: bool,
    /// Whether the message that this one follows is a reply that is not finished. The new job waits for it then.
    pub waits_for_earlier_reply: bool,
    /// The version of the user's list of chatrooms after this message.
    pub list_version: i64,
}

pub enum StoreResult {
    New(Stored),
    /// The statement was committed by an earlier try, whose connection was lost before its result arrived.
    StoredEarlier,
    /// Nothing is stored: the key was used before, something rejects the message, or another call won a race.
    NotStored,
}

const BUDGET: BudgetInputs<'_> = BudgetInputs {
    user: "$1",
    day: "$10",
    month: "$18",
    reserved_tokens: "$19",
    daily_limit: "daily",
    monthly_limit: "monthly",
};

/// The statement for PostgreSQL, which checks every condition before the first write. If a message passes these checks and then
/// loses a race, the statement violates a constraint, which rolls it back. [`store`] lists the parameters.
static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let budget = token_budget(DbBackend::Postgres, &BUDGET);
    format!("
    WITH tier AS MATERIALIZED (
        SELECT EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro
    ), limits AS MATERIALIZED (
        SELECT is_pro, CASE WHEN is_pro THEN $9 ELSE $8 END AS prompts, CASE WHEN is_pro THEN $16 ELSE $14 END AS daily,
               CASE WHEN is_pro THEN $17 ELSE $15 END AS monthly
        FROM tier
    ), quota AS (
        SELECT is_pro, prompts, {budget} AS budget FROM limits
    ), chatroom AS (
        UPDATE chatrooms SET version = version + 1, updated_at = $12
        FROM quota
        WHERE id = $2 AND user_id = $1
          AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $1 AND key = $6)
          AND prompts > 0 AND budget > 0
          AND NOT EXISTS (SELECT 1 FROM daily_usage
                          WHERE user_id = $1 AND day = $10 AND (used >= prompts OR tokens + unfinished * $19 >= budget))
        RETURNING version, prompts, budget
    ), key AS (
        INSERT INTO idempotency_keys (user_id, key, fingerprint, reply_id, created_at)
        SELECT $1, $6, $7, $4, $12 FROM chatroom WHERE $6 IS NOT NULL
    ), reserved AS (
        INSERT INTO daily_usage (user_id, day, used, unfinished)
        SELECT $1, $10, 1, 1 FROM chatroom
        ON CONFLICT (user_id, day)
        DO UPDATE SET used = daily_usage.used + 1, unfinished = daily_usage.unfinished + 1
        WHERE daily_usage.used < (SELECT prompts FROM chatroom)
          AND daily_usage.tokens + daily_usage.unfinished * $19 < (SELECT budget FROM chatroom)
        RETURNING used
    ), tail AS (
        SELECT id, depth, status FROM messages WHERE chatroom_id = $2 AND active ORDER BY depth DESC LIMIT 1
        -- The status of the tail decides whether this call signals the new job, or the worker that ends the tail finds it. The
        -- lock keeps the status until the commit.
        FOR NO KEY UPDATE
    ), position AS (
        SELECT version, used, id AS parent_id, coalesce(depth + 1, 0) AS depth
        FROM chatroom LEFT JOIN reserved ON true LEFT JOIN tail ON true
    ), sent AS (
        INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status, attempt,
                              added_version, changed_version, created_at, completed_at)
        -- Without a reservation, the depth is NULL, which violates its constraint and rolls everything back.
        SELECT $3, $1, $2, parent_id, CASE WHEN used IS NOT NULL THEN depth END, true, 'user', $5, 'completed', 0,
               version, version, $12, $12
        FROM position
        UNION ALL
        SELECT $4, $1, $2, $3, depth + 1, true, 'model', '', 'queued', 0, version, version, $12, NULL FROM position
    ), job AS (
        INSERT INTO jobs (id, kind, user_id, chatroom_id, message_id, position, run_at, attempt, failures,
                          stop_requested, created_at)
        SELECT $11, $13, $1, $2, $4, depth + 1, $12, 0, 0, false, $12 FROM position
    ), listed AS (
        UPDATE users SET chatrooms_version = chatrooms_version + 1 FROM position WHERE users.id = $1
        RETURNING chatrooms_version AS list_version
    )
    SELECT version, parent_id, depth, used, is_pro, list_version,
           EXISTS (SELECT 1 FROM tail WHERE status IN ('queued', 'streaming')) AS waits_for_earlier_reply
    FROM position, quota, listed")
});

/// The statements for SQLite, with the same parameters. `changes() = 1` gives a statement an effect only if the one before it had
/// one. SQLite has a single writer, so nothing can change between them.
static SQLITE: LazyLock<String> = LazyLock::new(|| {
    let budget = token_budget(DbBackend::Sqlite, &BUDGET);
    let accept = format!("
    UPDATE chatrooms SET version = version + 1, updated_at = $12
     WHERE id = $2 AND user_id = $1
       AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE user_id = $1 AND key = $6)
       AND EXISTS (
           SELECT 1 FROM (
               SELECT prompts, {budget} AS budget FROM (
                   SELECT CASE WHEN is_pro THEN $9 ELSE $8 END AS prompts, CASE WHEN is_pro THEN $16 ELSE $14 END AS daily,
                          CASE WHEN is_pro THEN $17 ELSE $15 END AS monthly
                   FROM (SELECT EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro)
               )
           ) LEFT JOIN daily_usage ON user_id = $1 AND day = $10
           WHERE coalesce(used, 0) < prompts AND coalesce(tokens + unfinished * $19, 0) < budget
       )");
    statements(&[
    &accept,
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
    "INSERT INTO daily_usage (user_id, day, used, unfinished) SELECT $1, $10, 1, 1 WHERE changes() = 1
     ON CONFLICT (user_id, day) DO UPDATE SET used = used + 1, unfinished = unfinished + 1",
    "UPDATE users SET chatrooms_version = chatrooms_version + 1 WHERE id = $1 AND changes() = 1",
    "INSERT INTO idempotency_keys (user_id, key, fingerprint, reply_id, created_at)
     SELECT $1, $6, $7, $4, $12 WHERE $6 IS NOT NULL AND changes() = 1",
    "SELECT added_version AS version, parent_id, depth,
            (SELECT used FROM daily_usage WHERE user_id = $1 AND day = $10) AS used,
            EXISTS (SELECT 1 FROM subscriptions WHERE user_id = $1 AND pro_until > $12) AS is_pro,
            (SELECT chatrooms_version FROM users WHERE id = $1) AS list_version,
            EXISTS (SELECT 1 FROM messages AS tail
                    WHERE tail.id = sent.parent_id AND tail.status IN ('queued', 'streaming')) AS waits_for_earlier_reply
     FROM messages AS sent WHERE id = $3",
    ])
});

/// Stores the message, its reply, the reply's job, the reserved prompt and the idempotency key, and increments the versions of
/// the chatroom and of the user's list.
pub async fn store(db: &Db, new: NewMessage<'_>) -> Result<StoreResult, DbErr> {
    let text = match db.write().get_database_backend() {
        DbBackend::Sqlite => SQLITE.as_str(),
        _ => POSTGRES.as_str(),
    };
    let trace = traces::current();
    let text =
        if trace.is_some() { with_trace(text, db.write().get_database_backend()) } else { text.to_owned() };
    let (basic_prompts, basic_daily, basic_monthly) = new.limits.basic.values();
    let (pro_prompts, pro_daily, pro_monthly) = new.limits.pro.values();
    let mut values: Vec<Value> = vec![
        /* $1 */ new.user.into(),
        /* $2 */ new.chatroom.into(),
        /* $3 */ new.message.into(),
        /* $4 */ new.reply.into(),
        /* $5 */ new.content.into(),
        /* $6 */ new.key.map(|key| key.key.clone()).into(),
        /* $7 */ new.key.map(|key| key.fingerprint.clone()).into(),
        /* $8 */ basic_prompts.into(),
        /* $9 */ pro_prompts.into(),
        /* $10 */ new.period.day.into(),
        /* $11 */ JobId::generate().into(),
        /* $12 */ new.now.into(),
        /* $13 */ new.job_kind.into(),
        /* $14 */ basic_daily.into(),
        /* $15 */ basic_monthly.into(),
        /* $16 */ pro_daily.into(),
        /* $17 */ pro_monthly.into(),
        /* $18 */ new.period.month.into(),
        /* $19 */ new.limits.reserved_tokens.into(),
    ];
    values.extend(trace.map(|trace| Value::from(json!({ TRACE_PARENT: trace.to_string() }))));
    let rows = match db.write().query_all_raw(sql(db.write(), text, values)).await {
        Err(error) if is_race(&error) => Vec::new(),
        rows => rows?,
    };
    let Some(row) = rows.first() else {
        let earlier = messages::owned_by(db.read(), new.user, new.reply).await?;
        return Ok(if earlier.is_some() { StoreResult::StoredEarlier } else { StoreResult::NotStored });
    };
    Ok(StoreResult::New(Stored::from_query_result(row, "")?))
}

/// Changes the statement so that it also stores the trace, `$20`, as the payload of the job.
fn with_trace(text: &str, backend: DbBackend) -> String {
    let payload = if backend == DbBackend::Sqlite { "$20" } else { "$20::jsonb" };
    text.replacen("INSERT INTO jobs (id,", "INSERT INTO jobs (payload, id,", 1).replacen(
        "SELECT $11, $13,",
        &format!("SELECT {payload}, $11, $13,"),
        1,
    )
}

/// Whether another call won a race after this statement's snapshot was taken, or an earlier try of this call was committed. If
/// that call appended to the branch or used the key, or that try stored the message, a unique index is violated. If that call
/// used the last prompt of the quota, the depth is null.
fn is_race(error: &DbErr) -> bool {
    let kind = sqlx_error(error).and_then(SqlxError::as_database_error).map(DatabaseError::kind);
    matches!(kind, Some(ErrorKind::UniqueViolation | ErrorKind::NotNullViolation))
}
