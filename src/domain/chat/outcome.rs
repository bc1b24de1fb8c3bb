//! What comes of an attempt at a reply: an end, another try, or nothing because the reply has moved on.
//!
//! Each is one transaction that begins by taking the job from the queue under the claim's attempt: whoever cannot do that
//! has lost the claim, and writes nothing.

use std::time::Duration;

use entity::{Timestamp, job, message};
use message::{FailureCode, Status};

use super::{Chat, claim, quota};
use crate::{
    domain::random,
    error::Result,
    ports::{
        model::{Ending, ModelError, Retry},
        signals::Topic,
    },
    store::{chatrooms, commit, jobs, replies},
};

/// Model calls for one reply, the first included.
const MOST_TRIES: i32 = 4;
/// A model that asks for a longer wait than this has refused.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
const AGAIN: Retry = Retry::After { at_least: Duration::ZERO };

/// How an attempt came to its end.
pub(super) enum Outcome {
    Whole(Ending),
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
        Self::Whole(Ending { finish_reason: "MAX_TOKENS".to_owned(), model: None, tokens: None })
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
    /// Does what an attempt's outcome asks for, with the text that it leaves.
    pub(super) async fn conclude(
        &self,
        row: &message::Model,
        job: &job::Model,
        text: &str,
        outcome: &Outcome,
    ) -> Result<()> {
        let (reply, attempt) = (row.id, job.attempt);
        let now = self.clock.now();
        match outcome {
            Outcome::Whole(ending) => {
                tracing::info!(%reply, attempt, finish_reason = ending.finish_reason.as_str(), "reply completed");
                let tokens = ending.tokens.map(|counted| (counted.prompt, counted.output, counted.thoughts));
                let (model, finish_reason) = (ending.model.clone(), Some(ending.finish_reason.clone()));
                let end = end(Status::Completed, text, now);
                self.end_reply(row, job, replies::End { model, finish_reason, tokens, ..end }).await
            }
            Outcome::Stopped => {
                tracing::info!(%reply, attempt, "reply stopped");
                self.end_reply(row, job, end(Status::Cancelled, text, now)).await
            }
            Outcome::HandedBack => {
                tracing::info!(%reply, attempt, "reply handed back");
                self.requeue(row, job, text, now, job.failures).await
            }
            Outcome::Failed(error) => {
                let tries = job.failures + 1;
                if let Some(wait) = wait_before_next(error, tries, self.pace.first_retry_after)? {
                    tracing::warn!(%reply, attempt, %error, wait_ms = wait.as_millis(), "reply is tried again");
                    return self.requeue(row, job, text, now + wait, tries).await;
                }
                tracing::warn!(%reply, attempt, %error, "reply failed");
                let failure = Some((error.code, error.message.clone()));
                self.end_reply(row, job, replies::End { failure, ..end(Status::Failed, text, now) }).await
            }
            Outcome::Lost => {
                tracing::info!(%reply, attempt, "attempt given up");
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
        let failed = end.status == Status::Failed;
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else {
            return Ok(());
        };
        if !jobs::done(&tx, claim(job)).await? {
            return Ok(());
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        if replies::end(&tx, attempt, version, end).await? && failed {
            quota::give_back(&tx, row).await?;
        }
        commit(tx).await?;
        self.end_log(row.id).await;
        self.tell(&[Topic::Room(row.chatroom_id), Topic::Account(row.user_id), Topic::Jobs]).await;
        Ok(())
    }

    async fn requeue(
        &self,
        row: &message::Model,
        job: &job::Model,
        text: &str,
        run_at: Timestamp,
        failures: i32,
    ) -> Result<()> {
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(()) };
        let Some(released) = jobs::release(&tx, claim(job), run_at, failures).await? else { return Ok(()) };
        if released.stop_requested {
            // Asked for while it ran: there is nothing to wait for.
            tx.rollback().await?;
            return self.end_reply(row, job, end(Status::Cancelled, text, self.clock.now())).await;
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        replies::requeue(&tx, attempt, text, version).await?;
        commit(tx).await?;
        self.tell(&[Topic::Room(row.chatroom_id), Topic::Jobs]).await;
        Ok(())
    }
}

pub(super) fn end(status: Status, content: &str, at: Timestamp) -> replies::End {
    let content = content.to_owned();
    replies::End { status, content, failure: None, model: None, finish_reason: None, tokens: None, at }
}

/// How long to wait before the next try: doubled each time, a quarter more or less by chance, and as long as the model
/// asks for. None: there is none.
fn wait_before_next(error: &ModelError, tries: i32, first: Duration) -> Result<Option<Duration>> {
    match error.retry {
        Retry::After { at_least } if tries < MOST_TRIES && at_least <= LONGEST_WAIT => {
            let doubled = first * 2_u32.pow(tries.cast_unsigned().saturating_sub(1));
            let jittered = doubled * (750 + random::below(501)?) / 1000;
            Ok(Some(jittered.max(at_least)))
        }
        _ => Ok(None),
    }
}
