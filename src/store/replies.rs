//! Updates of a reply's row while a worker writes the reply. Every update carries the number of its attempt, and has no effect
//! after a later attempt has begun.

use entity::{MessageId, Timestamp, message};
use sea_orm::{UpdateMany, entity::prelude::*};

use message::{Column, Entity, FailureCode, Status};

/// An attempt at a reply.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub reply: MessageId,
    pub number: i32,
}

/// The values that are stored when a reply ends.
#[derive(Clone, Debug)]
pub struct End {
    pub status: Status,
    pub content: String,
    pub failure: Option<(FailureCode, String)>,
    pub finish_reason: Option<String>,
    pub usage: Usage,
    /// The tokens that count against the user's budgets, unless the prompt is refunded.
    pub charged_tokens: i64,
    pub at: Timestamp,
}

/// The model and the tokens of a reply, as far as they are known. A field that is none leaves the stored value unchanged.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    pub model: Option<String>,
    /// Token counts of the prompt, the output and the thoughts, in this order.
    pub tokens: Option<(i32, i32, i32)>,
}

impl Usage {
    /// Adds the known fields to an update.
    pub(super) fn store(self, mut update: UpdateMany<Entity>) -> UpdateMany<Entity> {
        if let Some(model) = self.model {
            update = update.col_expr(Column::Model, Expr::value(model));
        }
        if let Some((prompt, output, thoughts)) = self.tokens {
            update = update
                .col_expr(Column::PromptTokens, Expr::value(prompt))
                .col_expr(Column::OutputTokens, Expr::value(output))
                .col_expr(Column::ThoughtTokens, Expr::value(thoughts));
        }
        update
    }
}

/// An update of the reply's row, which matches no row after a later attempt has begun.
pub(super) fn update(attempt: Attempt) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(attempt.reply)).filter(Column::Attempt.lte(attempt.number))
}

/// Saves the text so far. Returns false if the reply is not streaming, or a later attempt has begun.
pub async fn save(conn: &impl ConnectionTrait, attempt: Attempt, content: &str) -> Result<bool, DbErr> {
    let saved = update(attempt)
        .col_expr(Column::Content, Expr::value(content))
        .filter(Column::Status.eq(Status::Streaming))
        .exec(conn)
        .await?;
    Ok(saved.rows_affected == 1)
}

/// Returns the reply to the queue. The text so far stays until the next attempt begins. False if the reply is not streaming, or
/// a later attempt has begun.
pub async fn requeue(
    conn: &impl ConnectionTrait,
    attempt: Attempt,
    content: &str,
    usage: Usage,
    version: i64,
) -> Result<bool, DbErr> {
    let requeued = usage
        .store(update(attempt))
        .col_expr(Column::Status, Expr::value(Status::Queued))
        .col_expr(Column::Content, Expr::value(content))
        .col_expr(Column::ChangedVersion, Expr::value(version))
        .filter(Column::Status.eq(Status::Streaming))
        .exec(conn)
        .await?;
    Ok(requeued.rows_affected == 1)
}
