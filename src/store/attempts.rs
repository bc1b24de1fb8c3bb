//! The start and the end of an attempt at a reply: one statement each on PostgreSQL, so that the chatroom's row is locked for
//! no longer than that; one transaction each on SQLite, which has no data-modifying subqueries.

use chrono::NaiveDate;
use entity::{ChatroomId, UserId, message};
use sea_orm::{ActiveEnum, DbBackend, Value, entity::prelude::*};

use super::{
    Db, chatrooms, commit,
    jobs::{self, Claim},
    replies::{Attempt, End, update},
    sql, usage,
};

use message::{Column, Entity, Status};

/// A unit of the daily quota that a failed reply gives back.
#[derive(Clone, Copy, Debug)]
pub struct Refund {
    pub user: UserId,
    pub day: NaiveDate,
}

/// Begins an attempt with an empty text, and increments the chatroom's version. False if the reply has ended or was
/// deleted, or a later attempt has begun.
pub async fn begin(db: &Db, chatroom: ChatroomId, attempt: Attempt) -> Result<bool, DbErr> {
    if db.write().get_database_backend() == DbBackend::Sqlite {
        let tx = db.begin().await?;
        let Some(version) = chatrooms::increment_version(&tx, chatroom).await? else { return Ok(false) };
        if !begin_in(&tx, attempt, version).await? {
            return Ok(false);
        }
        commit(tx).await?;
        return Ok(true);
    }
    let text = "WITH incremented AS (UPDATE chatrooms SET version = version + 1 WHERE id = $1 RETURNING version)
         UPDATE messages SET status = 'streaming', attempt = $3, content = '', changed_version = incremented.version
         FROM incremented
         WHERE messages.id = $2 AND messages.attempt < $3 AND messages.status IN ('queued', 'streaming')";
    let values = [chatroom.into(), attempt.reply.into(), attempt.number.into()];
    let begun = db.write().execute_raw(sql(db.write(), text, values)).await?;
    Ok(begun.rows_affected() == 1)
}

/// Deletes the job, ends the reply unless it has ended already, and gives `refund` back if it ends. None: the claim is lost or
/// the chatroom was deleted, and nothing is changed; otherwise whether the reply ended.
pub async fn finish(
    db: &Db,
    claim: Claim,
    chatroom: ChatroomId,
    attempt: Attempt,
    end: End,
    refund: Option<Refund>,
) -> Result<Option<bool>, DbErr> {
    if db.write().get_database_backend() == DbBackend::Sqlite {
        let tx = db.begin().await?;
        let Some(version) = chatrooms::increment_version(&tx, chatroom).await? else { return Ok(None) };
        if !jobs::complete(&tx, claim).await? {
            return Ok(None);
        }
        let is_ended = end_in(&tx, attempt, version, end).await?;
        if let (true, Some(Refund { user, day })) = (is_ended, refund) {
            usage::refund(&tx, user, day).await?;
        }
        commit(tx).await?;
        return Ok(Some(is_ended));
    }
    // The chatroom first, as in every transaction that changes one: two orders could deadlock.
    let text = "WITH incremented AS (
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
         )
         SELECT (SELECT count(*) FROM completed) AS completed, (SELECT count(*) FROM ended) AS ended";
    let (failure_code, failure_message) = end.failure.unzip();
    let (prompt, output, thoughts) = match end.usage.tokens {
        Some((prompt, output, thoughts)) => (Some(prompt), Some(output), Some(thoughts)),
        None => (None, None, None),
    };
    let values: [Value; 17] = [
        claim.job.into(),
        claim.attempt.into(),
        chatroom.into(),
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
        refund.map(|refund| refund.user.0).into(),
        refund.map(|refund| refund.day).into(),
    ];
    let Some(row) = db.write().query_one_raw(sql(db.write(), text, values)).await? else { return Ok(None) };
    let is_completed = row.try_get::<i64>("", "completed")? == 1;
    Ok(if is_completed { Some(row.try_get::<i64>("", "ended")? == 1) } else { None })
}

/// Begins an attempt with an empty text, unless the reply has ended or a later attempt has begun.
async fn begin_in(conn: &impl ConnectionTrait, attempt: Attempt, version: i64) -> Result<bool, DbErr> {
    let begun = Entity::update_many()
        .col_expr(Column::Status, Expr::value(Status::Streaming))
        .col_expr(Column::Attempt, Expr::value(attempt.number))
        .col_expr(Column::Content, Expr::value(""))
        .col_expr(Column::ChangedVersion, Expr::value(version))
        .filter(Column::Id.eq(attempt.reply))
        .filter(Column::Attempt.lt(attempt.number))
        .filter(Column::Status.is_in([Status::Queued, Status::Streaming]))
        .exec(conn)
        .await?;
    Ok(begun.rows_affected == 1)
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
