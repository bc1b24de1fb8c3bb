//! What comes of an attempt at a reply: an end, another try, or nothing because the reply has moved on.
//!
//! Each is one transaction that begins by taking the job from the queue under the claim's attempt: whoever cannot do that
//! has lost the claim, and writes nothing.

use std::time::Duration;

use entity::{ChatroomId, MessageId, Timestamp, UserId, job, message};
use message::{FailureCode, Status};
use sea_orm::ActiveEnum;

use super::{Chat, claim, quota};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::text::is_blank,
    error::Result,
    ports::{
        model::{ModelError, Retry, Usage},
        signals::Topic,
    },
    store::{chatrooms, commit, jobs, replies},
};

/// Model calls for one reply, the first included.
const MAX_TRIES: u32 = 4;
/// A model that asks for a longer wait than this has refused.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const AGAIN: Retry = Retry::After { at_least: Duration::ZERO };

/// What an attempt leaves behind.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) text: &'a str,
    pub(super) usage: &'a Usage,
}

impl<'a> Written<'a> {
    /// Text of an attempt of which nothing else is known.
    pub(super) fn text(text: &'a str) -> Self {
        const NONE: &Usage = &Usage { model: None, tokens: None };
        Self { text, usage: NONE }
    }

    fn usage(self) -> replies::Usage {
        let tokens = self.usage.tokens.map(|counted| (counted.prompt, counted.output, counted.thoughts));
        replies::Usage { model: self.usage.model.clone(), tokens }
    }
}

/// How an attempt came to its end.
pub(super) enum Outcome {
    /// The answer is complete, for this reason.
    Whole(String),
    Stopped,
    Failed(ModelError),
    HandedBack,
    /// The claim is lost: another attempt has begun, or the reply has been ended or deleted.
    Lost,
}

impl Outcome {
    fn failed(code: FailureCode, message: &str, retry: Retry) -> Self {
        Self::Failed(ModelError { code, message: message.to_owned(), retry })
    }

    /// The text has reached the length at which every one ends.
    pub(super) fn cut_short() -> Self {
        Self::Whole("MAX_TOKENS".to_owned())
    }

    /// The model ended its answer. One that shows nothing is a failed try, whatever the model calls it.
    pub(super) fn of_end(finish_reason: String, text: &str) -> Self {
        if !is_blank(text) {
            return Self::Whole(finish_reason);
        }
        let message = if finish_reason == "MAX_TOKENS" {
            "The model spent all of its tokens before any visible text (MAX_TOKENS).".to_owned()
        } else {
            format!("The model ended its answer without visible text ({finish_reason}).")
        };
        Self::failed(FailureCode::ModelUnavailable, &message, AGAIN)
    }

    pub(super) fn cut_off() -> Self {
        Self::failed(FailureCode::ModelUnavailable, "The model's answer ended before it was whole.", AGAIN)
    }

    pub(super) fn broke() -> Self {
        Self::failed(FailureCode::Internal, "Something went wrong on our side.", AGAIN)
    }

    pub(super) fn given_up() -> Self {
        Self::failed(FailureCode::Internal, "The reply could not be written.", Retry::Never)
    }
}

impl Chat {
    /// When a reply is retried after a failure.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(self.pace.first_retry_after, LONGEST_WAIT).with_jitter();
        RetryPolicy { backoff, max_tries: Some(MAX_TRIES) }
    }

    /// Does what an attempt's outcome asks for, with the text that it leaves.
    pub(super) async fn conclude(
        &self,
        row: &message::Model,
        job: &job::Model,
        written: Written<'_>,
        outcome: &Outcome,
    ) -> Result<()> {
        let (reply, attempt) = (row.id, job.attempt);
        let now = self.clock.now();
        match outcome {
            Outcome::Whole(finish_reason) => {
                let finish_reason = Some(finish_reason.clone());
                let end = end(Status::Completed, written, now);
                self.end_reply(row, job, replies::End { finish_reason, ..end }).await
            }
            Outcome::Stopped => self.end_reply(row, job, end(Status::Cancelled, written, now)).await,
            Outcome::HandedBack => {
                tracing::info!(message_id = %reply.0, attempt, "reply released for another worker");
                self.requeue(row, job, written, now, job.failures).await
            }
            Outcome::Failed(error) => {
                let tries = job.failures + 1;
                if let Some(wait) = delay_before_retry(error, tries, self.retry_policy()) {
                    let wait_ms = wait.as_millis();
                    tracing::warn!(message_id = %reply.0, attempt, %error, wait_ms, "reply will be retried");
                    return self.requeue(row, job, written, now + wait, tries).await;
                }
                let failure = Some((error.code, error.message.clone()));
                self.end_reply(row, job, replies::End { failure, ..end(Status::Failed, written, now) }).await
            }
            Outcome::Lost => {
                tracing::info!(message_id = %reply.0, attempt, "reply attempt abandoned");
                // Where the job is still ours against all appearance, the next attempt is above whatever stood in the way.
                if self.reply_of(job).await?.is_some() {
                    let run_at = now + self.pace.first_retry_after;
                    jobs::release(self.db.write(), claim(job), run_at, job.failures).await?;
                }
                Ok(())
            }
        }
    }

    /// Ends a reply under the claim of its job: once, and not at all if another has claimed it since.
    pub(super) async fn end_reply(
        &self,
        row: &message::Model,
        job: &job::Model,
        end: replies::End,
    ) -> Result<()> {
        let is_refunded = quota::is_refunded(&end);
        let ended = Ended::new(row, job, &end);
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else {
            return Ok(());
        };
        if !jobs::complete(&tx, claim(job)).await? {
            return Ok(());
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        let is_ended = replies::end(&tx, attempt, version, end).await?;
        if is_ended && is_refunded {
            quota::give_back(&tx, row).await?;
        }
        commit(tx).await?;
        if is_ended {
            ended.log();
        }
        self.end_log(row.id).await;
        self.tell(&[Topic::Room(row.chatroom_id), Topic::Account(row.user_id), Topic::Jobs]).await;
        Ok(())
    }

    async fn requeue(
        &self,
        row: &message::Model,
        job: &job::Model,
        written: Written<'_>,
        run_at: Timestamp,
        failures: i32,
    ) -> Result<()> {
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(()) };
        let Some(released) = jobs::release(&tx, claim(job), run_at, failures).await? else { return Ok(()) };
        if released.stop_requested {
            // Asked for while it ran: there is nothing to wait for.
            tx.rollback().await?;
            return self.end_reply(row, job, end(Status::Cancelled, written, self.clock.now())).await;
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        replies::requeue(&tx, attempt, written.text, written.usage(), version).await?;
        commit(tx).await?;
        self.tell(&[Topic::Room(row.chatroom_id), Topic::Jobs]).await;
        Ok(())
    }
}

pub(super) fn end(status: Status, written: Written<'_>, at: Timestamp) -> replies::End {
    let (content, usage) = (written.text.to_owned(), written.usage());
    replies::End { status, content, failure: None, finish_reason: None, usage, at }
}

/// The log's line about a reply's end: ids as the database has them, and no text.
struct Ended {
    user_id: UserId,
    chatroom_id: ChatroomId,
    message_id: MessageId,
    attempt: i32,
    status: Status,
    failure: Option<FailureCode>,
    finish_reason: Option<String>,
    usage: replies::Usage,
    /// Since it was requested.
    duration_ms: i64,
}

impl Ended {
    fn new(row: &message::Model, job: &job::Model, end: &replies::End) -> Self {
        Self {
            user_id: row.user_id,
            chatroom_id: row.chatroom_id,
            message_id: row.id,
            attempt: job.attempt,
            status: end.status,
            failure: end.failure.as_ref().map(|(code, _)| *code),
            finish_reason: end.finish_reason.clone(),
            usage: end.usage.clone(),
            duration_ms: end.at.signed_duration_since(row.created_at).num_milliseconds(),
        }
    }

    fn log(self) {
        let (prompt, output, _) = self.usage.tokens.unwrap_or_default();
        tracing::info!(
            user_id = %self.user_id.0,
            chatroom_id = %self.chatroom_id.0,
            message_id = %self.message_id.0,
            attempt = self.attempt,
            status = self.status.to_value(),
            failure = self.failure.map(|code| code.to_value()),
            finish_reason = self.finish_reason,
            model = self.usage.model,
            prompt_tokens = prompt,
            output_tokens = output,
            duration_ms = self.duration_ms,
            "reply ended"
        );
    }
}

/// The backoff, or as long as the model requires. None: no retry.
fn delay_before_retry(error: &ModelError, failures: i32, policy: RetryPolicy) -> Option<Duration> {
    match error.retry {
        Retry::After { at_least } if at_least <= LONGEST_WAIT => {
            Some(policy.delay(failures.unsigned_abs())?.max(at_least))
        }
        _ => None,
    }
}
