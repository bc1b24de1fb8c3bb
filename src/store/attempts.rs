//! The start and the end of an attempt at a reply. On PostgreSQL, each is one statement, so that the chatroom's row is locked
//! only while the statement runs. On SQLite, which has no data-modifying subqueries, each is one transaction.

use chrono::NaiveDate;
use entity::{ChatroomId, Timestamp, UserId, chatroom, job, message};
use sea_orm::{ActiveEnum, DbBackend, FromQueryResult, Value, entity::prelude::*};

use super::{
    Db,
    branches::{self, HISTORY_COLUMNS, HistoryMessage},
    chatrooms, commit,
    jobs::{self, Claim},
    replies::{Attempt, End, update},
    sql, usage,
};

use message::{Column, Entity, Status};

/// The unit of the daily quota that a user gets back for a failed reply.
#[derive(Clone, Copy, Debug)]
pub struct Refund {
    pub user: UserId,
    pub day: NaiveDate,
}

/// An attempt that has begun, and what its prompt consists of.
#[derive(Clone, Debug)]
pub struct Begun {
    pub reply: message::Model,
    /// The chatroom's.
    pub model: String,
    pub system_instruction: Option<String>,
    /// The messages before the reply on the active branch, newest first.
    pub history: Vec<HistoryMessage>,
}

/// Begins an attempt with an empty text, and increments the chatroom's version. Reads up to `limit` messages of the history. None
/// if the reply has ended or was deleted, or this attempt or a later one has begun.
pub async fn begin(
    db: &Db,
    chatroom: ChatroomId,
    attempt: Attempt,
    limit: usize,
) -> Result<Option<Begun>, DbErr> {
    if db.write().get_database_backend() == DbBackend::Sqlite {
        let tx = db.begin().await?;
        let Some(chatroom) = chatrooms::increment_version(&tx, chatroom).await? else { return Ok(None) };
        let Some(reply) = begin_in(&tx, attempt, chatroom.version).await? else { return Ok(None) };
        commit(tx).await?;
        let history = branches::above(db.read(), chatroom.id, reply.depth, limit).await?;
        let chatroom::Model { model, system_instruction, .. } = chatroom;
        return Ok(Some(Begun { reply, model, system_instruction, history }));
    }
    // The reply's row, and below it the history's rows, which have fewer columns.
    let text = format!(
        "WITH incremented AS (
             UPDATE chatrooms SET version = version + 1 WHERE id = $1
             RETURNING version, model AS chatroom_model, system_instruction
         ), begun AS (
             UPDATE messages
             SET status = 'streaming', attempt = $3, content = '', changed_version = incremented.version
             FROM incremented
             WHERE messages.id = $2 AND messages.attempt < $3 AND messages.status IN ('queued', 'streaming')
             RETURNING messages.*, chatroom_model, system_instruction
         )
         SELECT {HISTORY_COLUMNS}, {OTHER_COLUMNS} FROM begun
         UNION ALL
         SELECT above.*, {nulls}
         FROM begun CROSS JOIN LATERAL (
             SELECT {HISTORY_COLUMNS} FROM messages
             WHERE chatroom_id = $1 AND active AND depth < begun.depth ORDER BY depth DESC LIMIT {limit}
         ) AS above
         ORDER BY depth DESC",
        nulls = vec!["NULL"; OTHER_COLUMNS.split(',').count()].join(", "),
    );
    let values = [chatroom.into(), attempt.reply.into(), attempt.number.into()];
    let rows = db.write().query_all_raw(sql(db.write(), text, values)).await?;
    let Some((reply, history)) = rows.split_first() else { return Ok(None) };
    Ok(Some(Begun {
        model: reply.try_get("", "chatroom_model")?,
        system_instruction: reply.try_get("", "system_instruction")?,
        reply: message::Model::from_query_result(reply, "")?,
        history: history
            .iter()
            .map(|row| HistoryMessage::from_query_result(row, ""))
            .collect::<Result<_, _>>()?,
    }))
}

/// The columns of a reply that are not [`HISTORY_COLUMNS`], and its chatroom's.
const OTHER_COLUMNS: &str = "user_id, chatroom_id, active, attempt, failure_code, failure_message, model, finish_reason, \
     prompt_tokens, output_tokens, thought_tokens, feedback, added_version, changed_version, created_at, completed_at, \
     chatroom_model, system_instruction";

/// A finished attempt.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Whether the reply ended; it may have ended before.
    pub is_ended: bool,
    /// The chatroom's next job, claimed.
    pub next: Option<job::Model>,
}

/// Deletes the job and ends the reply, unless the reply has ended already or a later attempt has begun. Refunds `refund` if the
/// reply ends. With `lease_next_until`, claims the chatroom's next job. Returns none, and changes nothing, if the claim is lost
/// or the chatroom was deleted.
pub async fn finish(
    db: &Db,
    claim: Claim,
    reply: &message::Model,
    end: End,
    refund: Option<Refund>,
    lease_next_until: Option<Timestamp>,
) -> Result<Option<Finished>, DbErr> {
    let attempt = Attempt { reply: reply.id, number: claim.attempt };
    if db.write().get_database_backend() == DbBackend::Sqlite {
        let tx = db.begin().await?;
        let Some(chatroom) = chatrooms::increment_version(&tx, reply.chatroom_id).await? else {
            return Ok(None);
        };
        if !jobs::complete(&tx, claim).await? {
            return Ok(None);
        }
        let now = end.at;
        let is_ended = end_in(&tx, attempt, chatroom.version, end).await?;
        if let (true, Some(Refund { user, day })) = (is_ended, refund) {
            usage::refund(&tx, user, day).await?;
        }
        let next = match lease_next_until {
            Some(until) => {
                let text = jobs::claim_next(["$1", "$2", "$3", "$4", "$5"], "true");
                let (user, chatroom) = (reply.user_id, reply.chatroom_id);
                let values = [claim.job.into(), user.into(), chatroom.into(), now.into(), until.into()];
                job::Model::find_by_statement(sql(&tx, text, values)).one(&tx).await?
            }
            None => None,
        };
        commit(tx).await?;
        return Ok(Some(Finished { is_ended, next }));
    }
    // Locks the chatroom before the job and the reply, as every transaction that changes a chatroom does: transactions that
    // lock in different orders could deadlock.
    let text = format!(
        "WITH incremented AS (
             UPDATE chatrooms SET version = version + 1
             WHERE id = $3 AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND attempt = $2)
             RETURNING version
         ), completed AS (
             DELETE FROM jobs USING incremented WHERE id = $1 AND attempt = $2 RETURNING incremented.version
         ), ended AS (
             UPDATE messages
             SET status = $6, content = $7, failure_code = $8, failure_message = $9, finish_reason = $10,
                 model = coalesce($11, model), prompt_tokens = coalesce($12, prompt_tokens),
                 output_tokens = coalesce($13, output_tokens), thought_tokens = coalesce($14, thought_tokens),
                 completed_at = $15, changed_version = completed.version
             FROM completed
             WHERE messages.id = $4 AND messages.attempt <= $5 AND messages.status IN ('queued', 'streaming')
             RETURNING messages.id
         ), refunded AS (
             UPDATE daily_usage SET used = used - 1
             FROM ended WHERE daily_usage.user_id = $16 AND daily_usage.day = $17 AND daily_usage.used > 0
         ), next AS (
             {claim_next}
         )
         SELECT (SELECT count(*) FROM completed) AS completed, (SELECT count(*) FROM ended) AS ended, next.*
         FROM (SELECT 1) AS one LEFT JOIN next ON true",
        claim_next = jobs::claim_next(
            ["$1", "$16", "$3", "$15", "$18"],
            "$18 IS NOT NULL AND EXISTS (SELECT 1 FROM completed)",
        ),
    );
    let (failure_code, failure_message) = end.failure.unzip();
    let (prompt, output, thoughts) = match end.usage.tokens {
        Some((prompt, output, thoughts)) => (Some(prompt), Some(output), Some(thoughts)),
        None => (None, None, None),
    };
    let values: [Value; 18] = [
        claim.job.into(),
        claim.attempt.into(),
        reply.chatroom_id.into(),
        attempt.reply.into(),
        attempt.number.into(),
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
        refund.map(|refund| refund.day).into(),
        lease_next_until.into(),
    ];
    let Some(row) = db.write().query_one_raw(sql(db.write(), text, values)).await? else { return Ok(None) };
    if row.try_get::<i64>("", "completed")? == 0 {
        return Ok(None);
    }
    let is_ended = row.try_get::<i64>("", "ended")? == 1;
    Ok(Some(Finished { is_ended, next: job::Model::from_query_result_optional(&row, "")? }))
}

/// Begins an attempt with an empty text, unless the reply has ended, or this attempt or a later one has begun.
async fn begin_in(
    conn: &impl ConnectionTrait,
    attempt: Attempt,
    version: i64,
) -> Result<Option<message::Model>, DbErr> {
    let begun = Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Streaming))
        .col_expr(Column::Attempt, Expr::value(attempt.number))
        .col_expr(Column::Content, Expr::value(""))
        .col_expr(Column::ChangedVersion, Expr::value(version))
        .filter(Column::Id.eq(attempt.reply))
        .filter(Column::Attempt.lt(attempt.number))
        .filter(Column::Status.is_in([Status::Queued, Status::Streaming]))
        .exec_with_returning(conn)
        .await?;
    Ok(begun.into_iter().next())
}

/// Ends the reply. False if it has ended already, or a later attempt has begun.
async fn end_in(
    conn: &impl ConnectionTrait,
    attempt: Attempt,
    version: i64,
    end: End,
) -> Result<bool, DbErr> {
    let (failure_code, failure_message) = end.failure.unzip();
    let ended = end
        .usage
        .store(update(attempt))
        .col_expr(Column::Status, Expr::value(end.status))
        .col_expr(Column::Content, Expr::value(end.content))
        .col_expr(Column::FailureCode, Expr::value(failure_code))
        .col_expr(Column::FailureMessage, Expr::value(failure_message))
        .col_expr(Column::FinishReason, Expr::value(end.finish_reason))
        .col_expr(Column::CompletedAt, Expr::value(end.at))
        .col_expr(Column::ChangedVersion, Expr::value(version))
        .filter(Column::Status.is_in([Status::Queued, Status::Streaming]))
        .exec(conn)
        .await?;
    Ok(ended.rows_affected == 1)
}
