//! The start and the end of an attempt at a reply. On PostgreSQL, each is one statement, so that the chatroom's row is locked
//! only while the statement runs. On SQLite, which has no data-modifying subqueries, each is a transaction that is sent as one text.

use chrono::NaiveDate;
use entity::{ChatroomId, JobId, Timestamp, chatroom::Generation, job, message};
use sea_orm::{ActiveEnum, DbBackend, FromQueryResult, Value, entity::prelude::*};

use super::{
    Db,
    branches::{self, HistoryMessage},
    jobs::{self, Claim},
    replies::{Attempt, End},
    sql,
    sqlite::statements,
};

/// What a reply that has ended costs its user.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// The day on which the reply was created.
    pub day: NaiveDate,
    /// Whether the prompt that was reserved is given back.
    pub is_refunded: bool,
    pub tokens: i64,
}

/// An attempt that has begun, and what its prompt consists of.
#[derive(Clone, Debug)]
pub struct Begun {
    pub reply: message::Model,
    /// The chatroom's.
    pub model: String,
    pub system_instruction: Option<String>,
    pub generation: Option<Generation>,
    /// Whether its user has Pro.
    pub is_pro: bool,
    /// The newest messages before the reply on the active branch, newest first.
    pub history: Vec<HistoryMessage>,
}

/// Begins an attempt with an empty text, and increments the chatroom's version. Reads up to `limit` messages of the history whose
/// depth is greater than `after_depth`. None if the reply has ended or was deleted, or this attempt or a later one has begun.
pub async fn begin(
    db: &Db,
    chatroom: ChatroomId,
    attempt: Attempt,
    after_depth: i32,
    limit: usize,
    now: Timestamp,
) -> Result<Option<Begun>, DbErr> {
    let backend = db.write().get_database_backend();
    let history = branches::history(backend, &branches::newest_between("$5", "begun.depth", limit), "DESC");
    let text = match backend {
        DbBackend::Sqlite => statements(&[
            "UPDATE chatrooms SET version = version + 1
             WHERE id = $1 AND EXISTS (SELECT 1 FROM messages
                                       WHERE id = $2 AND attempt < $3 AND status IN ('queued', 'streaming'))",
            "UPDATE messages
             SET status = 'streaming', attempt = $3, content = '',
                 changed_version = (SELECT version FROM chatrooms WHERE id = $1)
             WHERE id = $2 AND changes() = 1",
            &format!(
                "SELECT begun.*, chatrooms.model AS chatroom_model, system_instruction, generation, {IS_PRO}, {history} AS history
                 FROM messages AS begun JOIN chatrooms ON chatrooms.id = chatroom_id
                 WHERE begun.id = $2 AND changes() = 1"
            ),
        ]),
        _ => format!(
            "WITH incremented AS (
                 UPDATE chatrooms SET version = version + 1
                 WHERE id = $1 AND EXISTS (SELECT 1 FROM messages
                                           WHERE id = $2 AND attempt < $3 AND status IN ('queued', 'streaming'))
                 RETURNING version, model AS chatroom_model, system_instruction, generation
             ), begun AS (
                 UPDATE messages
                 SET status = 'streaming', attempt = $3, content = '', changed_version = incremented.version
                 FROM incremented
                 WHERE messages.id = $2 AND messages.attempt < $3 AND messages.status IN ('queued', 'streaming')
                 RETURNING messages.*, chatroom_model, system_instruction, generation
             ) SELECT begun.*, {IS_PRO}, {history} AS history FROM begun"
        ),
    };
    let values =
        [chatroom.into(), attempt.reply.into(), attempt.number.into(), now.into(), after_depth.into()];
    let rows = db.write().query_all_raw(sql(db.write(), text, values)).await?;
    let Some(reply) = rows.first() else { return Ok(None) };
    Ok(Some(Begun {
        model: reply.try_get("", "chatroom_model")?,
        system_instruction: reply.try_get("", "system_instruction")?,
        generation: reply.try_get("", "generation")?,
        is_pro: reply.try_get("", "is_pro")?,
        reply: message::Model::from_query_result(reply, "")?,
        history: branches::parse_history(reply)?,
    }))
}

/// Whether the user of the reply has Pro at the time `$4`.
const IS_PRO: &str = "EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.user_id = begun.user_id AND pro_until > $4) AS is_pro";

/// A finished attempt.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Whether the reply ended; it may have ended before.
    pub is_ended: bool,
    /// The chatroom's next job, claimed.
    pub next: Option<job::Model>,
}

/// A job to queue when the reply ends, if its chatroom is not temporary and has the default title.
#[derive(Clone, Debug)]
pub struct QueuedTitle {
    pub kind: &'static str,
    pub payload: serde_json::Value,
}

/// Deletes the job and ends the reply, unless the reply has ended already or a later attempt has begun. Charges the user and
/// queues `title` if the reply ends. With `lease_next_until`, claims the chatroom's next job. Returns none, and changes nothing,
/// if the claim is lost or the chatroom was deleted.
pub async fn finish(
    db: &Db,
    claim: Claim,
    reply: &message::Model,
    end: End,
    charge: Charge,
    lease_next_until: Option<Timestamp>,
    title: Option<QueuedTitle>,
) -> Result<Option<Finished>, DbErr> {
    let text = finish_text(db, title.is_some());
    let (failure_code, failure_message) = end.failure.unzip();
    let (prompt, output, thoughts) = match end.usage.tokens {
        Some((prompt, output, thoughts)) => (Some(prompt), Some(output), Some(thoughts)),
        None => (None, None, None),
    };
    let mut values: Vec<Value> = vec![
        claim.job.into(),
        claim.attempt.into(),
        reply.chatroom_id.into(),
        reply.id.into(),
        end.status.to_value().into(),
        end.content.into(),
        failure_code.map(|code| code.to_value()).into(),
        failure_message.into(),
        end.finish_reason.into(),
        end.usage.model.into(),
        prompt.into(),
        output.into(),
        thoughts.into(),
        end.at.into(),
        reply.user_id.into(),
        charge.day.into(),
        lease_next_until.into(),
        i32::from(charge.is_refunded).into(),
        charge.tokens.into(),
    ];
    if let Some(QueuedTitle { kind, payload }) = title {
        values.extend([JobId::generate().into(), kind.into(), payload.into()]);
    }
    // One row on PostgreSQL; on SQLite one of each statement that returned any.
    let rows = db.write().query_all_raw(sql(db.write(), text, values)).await?;
    let has = |column| rows.iter().any(|row| matches!(row.try_get("", column), Ok(Some(1_i32))));
    if !has("completed") {
        return Ok(None);
    }
    let next = rows.iter().find(|row| matches!(row.try_get::<Option<JobId>>("", "id"), Ok(Some(_))));
    let next = next.map(|row| job::Model::from_query_result(row, "")).transpose()?;
    Ok(Some(Finished { is_ended: has("ended"), next }))
}

/// The text of [`finish`]. Only that of the first replies of a chatroom queues a title.
fn finish_text(db: &Db, with_title: bool) -> String {
    match db.write().get_database_backend() {
        DbBackend::Sqlite => {
            let end = format!(
                "UPDATE messages
                 SET {END_COLUMNS}, changed_version = (SELECT version FROM chatrooms WHERE id = $3)
                 WHERE id = $4 AND attempt <= $2 AND status IN ('queued', 'streaming')
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = $1)
                 RETURNING 1 AS ended"
            );
            let claim_next = jobs::claim_next(NEXT_PARAMETERS, "$17 IS NOT NULL AND changes() = 1", "*");
            let charge = format!("{CHARGE} AND changes() = 1");
            let title =
                format!("{QUEUE_TITLE} FROM chatrooms WHERE id = $3 AND {IS_UNTITLED} AND changes() = 1");
            let mut texts = vec![
                "UPDATE chatrooms SET version = version + 1
                 WHERE id = $3 AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND attempt = $2)",
                "DELETE FROM jobs WHERE id = $1 AND attempt = $2 AND changes() = 1 RETURNING 1 AS completed",
                &claim_next,
                &end,
                &charge,
            ];
            texts.extend(with_title.then_some(title.as_str()));
            statements(&texts)
        }
        // Locks the chatroom before the job and the reply, as every transaction that changes a chatroom does: transactions
        // that lock in different orders could deadlock.
        _ => format!(
            "WITH incremented AS (
                 UPDATE chatrooms SET version = version + 1
                 WHERE id = $3 AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND attempt = $2)
                 RETURNING version{title_columns}
             ), completed AS (
                 DELETE FROM jobs USING incremented WHERE id = $1 AND attempt = $2 RETURNING incremented.version
             ), ended AS (
                 UPDATE messages SET {END_COLUMNS}, changed_version = completed.version
                 FROM completed
                 WHERE id = $4 AND attempt <= $2 AND status IN ('queued', 'streaming')
                 RETURNING id
             ), charged AS (
                 {CHARGE} AND EXISTS (SELECT 1 FROM ended)
             ), next AS (
                 {claim_next}
             ){title}
             SELECT 1 AS completed, (SELECT 1 FROM ended) AS ended, next.* FROM completed LEFT JOIN next ON true",
            title_columns = if with_title { ", title_source, is_temporary" } else { "" },
            claim_next =
                jobs::claim_next(NEXT_PARAMETERS, "$17 IS NOT NULL AND EXISTS (SELECT 1 FROM completed)", "jobs.*"),
            title = if with_title {
                format!(", titled AS ({QUEUE_TITLE} FROM incremented, ended WHERE {IS_UNTITLED})")
            } else {
                String::new()
            },
        ),
    }
}

/// The reserved tokens are replaced by those that the reply used.
const CHARGE: &str = "UPDATE daily_usage
     SET used = CASE WHEN used < $18 THEN 0 ELSE used - $18 END, tokens = tokens + $19,
         unfinished = CASE WHEN unfinished < 1 THEN 0 ELSE unfinished - 1 END
     WHERE user_id = $15 AND day = $16";
const QUEUE_TITLE: &str =
    "INSERT INTO jobs (id, kind, user_id, position, run_at, attempt, failures, stop_requested,
         payload, created_at) SELECT $20, $21, $15, 0, $14, 0, 0, false, $22, $14";
const IS_UNTITLED: &str = "title_source = 'default' AND NOT is_temporary";

/// The parameters of [`jobs::claim_next`] in [`finish`].
const NEXT_PARAMETERS: [&str; 5] = ["$1", "$15", "$3", "$14", "$17"];

/// The columns that [`finish`] sets.
const END_COLUMNS: &str = "status = $5, content = $6, failure_code = $7, failure_message = $8, finish_reason = $9, \
     model = coalesce($10, model), prompt_tokens = coalesce($11, prompt_tokens), \
     output_tokens = coalesce($12, output_tokens), thought_tokens = coalesce($13, thought_tokens), completed_at = $14";
