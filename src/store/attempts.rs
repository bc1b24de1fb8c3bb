//! Begins and finishes an attempt at a reply. On PostgreSQL, each is one statement, so that the chatroom's row is locked only
//! while the statement runs. On SQLite, which has no data-modifying subqueries, each is a transaction whose statements are sent
//! as one text.

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

/// What a reply that has ended counts against the quota of its user.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// The day on which the reply was created.
    pub day: NaiveDate,
    /// Whether the reserved prompt is given back.
    pub is_refunded: bool,
    /// The tokens that count against the user's budgets.
    pub tokens: i64,
}

/// The reply of an attempt that has begun, and the data for its prompt.
#[derive(Clone, Debug)]
pub struct Begun {
    pub reply: message::Model,
    /// The model of the chatroom.
    pub model: String,
    pub system_instruction: Option<String>,
    pub generation: Option<Generation>,
    /// Whether the user of the reply has Pro.
    pub is_pro: bool,
    /// The newest messages before the reply on the active branch, newest first.
    pub history: Vec<HistoryMessage>,
}

/// Begins an attempt with an empty text, and increments the chatroom's version. Also reads up to `limit` messages of the history:
/// the newest whose depth is greater than `after_depth`. Returns none if the reply has ended or was deleted, or this attempt or a
/// later one has begun.
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
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Begun {
        model: row.try_get("", "chatroom_model")?,
        system_instruction: row.try_get("", "system_instruction")?,
        generation: row.try_get("", "generation")?,
        is_pro: row.try_get("", "is_pro")?,
        reply: message::Model::from_query_result(row, "")?,
        history: branches::parse_history(row)?,
    }))
}

/// Whether the user of the reply has Pro at the time `$4`.
const IS_PRO: &str = "EXISTS (SELECT 1 FROM subscriptions WHERE subscriptions.user_id = begun.user_id AND pro_until > $4) AS is_pro";

/// What finishing an attempt has done.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Whether the reply ended now. False if it had ended before.
    pub has_ended_reply: bool,
    /// The chatroom's next job, if it was claimed.
    pub next: Option<job::Model>,
    /// Whether another job of the user may wait for a worker, such as one that was queued while this statement ran. Only
    /// determined if no next job was claimed.
    pub may_have_waiting_job: bool,
}

/// The job that generates the chatroom's title. It is queued when the reply ends, if the chatroom is not temporary and has the
/// default title.
#[derive(Clone, Debug)]
pub struct QueuedTitle {
    pub kind: &'static str,
    pub payload: serde_json::Value,
}

/// Deletes the job. Ends the reply, unless it has ended already or a later attempt has begun. If the reply ends now, charges the
/// user and queues `title`. With `lease_next_until`, claims the chatroom's next job if `jobs::claim_next` permits it. Returns
/// none, and changes nothing, if the claim is lost or the chatroom was deleted.
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
    // PostgreSQL returns one row. SQLite returns the rows of all statements: at most one each for the deleted job, the claimed
    // job and the ended reply.
    let rows = db.write().query_all_raw(sql(db.write(), text, values)).await?;
    let has = |column| rows.iter().any(|row| matches!(row.try_get("", column), Ok(Some(1_i32))));
    if !has("completed") {
        return Ok(None);
    }
    let next = rows.iter().find(|row| matches!(row.try_get::<Option<JobId>>("", "id"), Ok(Some(_))));
    let next = next.map(|row| job::Model::from_query_result(row, "")).transpose()?;
    Ok(Some(Finished { has_ended_reply: has("ended"), next, may_have_waiting_job: has("may_wait") }))
}

/// The SQL text of [`finish`], whose values list the parameters in the order of their numbers.
fn finish_text(db: &Db, with_title: bool) -> String {
    match db.write().get_database_backend() {
        DbBackend::Sqlite => {
            // `claim_next` runs before this statement and sets `changes()`. So this statement checks that the job is gone: an
            // unfinished reply has a job until this transaction deletes it.
            let end = format!(
                "UPDATE messages
                 SET {END_COLUMNS}, changed_version = (SELECT version FROM chatrooms WHERE id = $3)
                 WHERE id = $4 AND attempt <= $2 AND status IN ('queued', 'streaming')
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = $1)
                 RETURNING 1 AS ended"
            );
            let claim_next = jobs::claim_next(NEXT_PARAMETERS, "$17 IS NOT NULL AND changes() = 1", "*");
            let charge = format!("{} AND changes() = 1", charge());
            let waiting = format!("SELECT 1 AS may_wait WHERE {}", has_waiting_job());
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
            texts.push(&waiting);
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
                 {charge} AND EXISTS (SELECT 1 FROM ended) RETURNING used, unfinished
             ), next AS (
                 {claim_next}
             ){title}
             SELECT 1 AS completed, (SELECT 1 FROM ended) AS ended, next.*,
                    CASE WHEN next.id IS NULL AND ({has_waiting_job}{or_titled}
                        -- A job that was queued after the snapshot was taken: queuing a reply changes these columns of its day.
                        OR NOT EXISTS (SELECT 1 FROM charged
                                       WHERE (used, unfinished) = (SELECT {USED}, {UNFINISHED} FROM daily_usage {OF_DAY}))
                    ) THEN 1 END AS may_wait
             FROM completed LEFT JOIN next ON true",
            charge = charge(),
            has_waiting_job = has_waiting_job(),
            title_columns = if with_title { ", title_source, is_temporary" } else { "" },
            claim_next =
                jobs::claim_next(NEXT_PARAMETERS, "$17 IS NOT NULL AND EXISTS (SELECT 1 FROM completed)", "jobs.*"),
            title = if with_title {
                format!(", titled AS ({QUEUE_TITLE} FROM incremented, ended WHERE {IS_UNTITLED} RETURNING id)")
            } else {
                String::new()
            },
            or_titled = if with_title { " OR EXISTS (SELECT 1 FROM titled)" } else { "" },
        ),
    }
}

/// The statement that replaces the tokens that are reserved for the reply by those that it used, which are `$19`.
fn charge() -> String {
    format!("UPDATE daily_usage SET used = {USED}, tokens = tokens + $19, unfinished = {UNFINISHED} {OF_DAY}")
}

/// Whether a job of the user waits.
fn has_waiting_job() -> String {
    let jobs = jobs::jobs_of_user("user_id = $15");
    format!("EXISTS (SELECT 1 FROM {jobs} AS jobs_of_user WHERE leased_until IS NULL)")
}

/// The prompts used after the charge. `$18` is 1 if the prompt is given back, and otherwise 0.
const USED: &str = "CASE WHEN used < $18 THEN 0 ELSE used - $18 END";
/// The unfinished replies after the charge. Tokens are reserved for each, so decrementing this gives them back.
const UNFINISHED: &str = "CASE WHEN unfinished < 1 THEN 0 ELSE unfinished - 1 END";
const OF_DAY: &str = "WHERE user_id = $15 AND day = $16";
const QUEUE_TITLE: &str =
    "INSERT INTO jobs (id, kind, user_id, position, run_at, attempt, failures, stop_requested,
         payload, created_at) SELECT $20, $21, $15, 0, $14, 0, 0, false, $22, $14";
const IS_UNTITLED: &str = "title_source = 'default' AND NOT is_temporary";

/// The arguments of [`jobs::claim_next`]: the placeholders of these values in [`finish`].
const NEXT_PARAMETERS: [&str; 5] = ["$1", "$15", "$3", "$14", "$17"];

/// The columns that [`finish`] sets.
const END_COLUMNS: &str = "status = $5, content = $6, failure_code = $7, failure_message = $8, finish_reason = $9, \
     model = coalesce($10, model), prompt_tokens = coalesce($11, prompt_tokens), \
     output_tokens = coalesce($12, output_tokens), thought_tokens = coalesce($13, thought_tokens), completed_at = $14";
