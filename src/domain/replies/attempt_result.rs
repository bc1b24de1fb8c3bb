//! The result of an attempt at a reply, and what it does to the reply when the attempt finishes: the reply ends, is requeued, or
//! stays unchanged because the claim is lost.
//!
//! An attempt is finished in one transaction, which also deletes or requeues the job. If the claim is lost, the transaction
//! writes nothing.

use std::time::Duration;

use entity::{ChatroomId, MessageId, Timestamp, UserId, job, message};
use futures_util::future;
use message::{FailureCode, Status};
use sea_orm::ActiveEnum;

use super::{Replies, prompt};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::publish::publish,
    domain::text::is_blank,
    error::Result,
    ports::{
        model::{ModelError, ModelUsage, Retry},
        signals::Topic,
    },
    store::{
        attempts::{self, Charge, Finished},
        chatrooms, commit,
        jobs::{self, Claim},
        replies,
    },
    telemetry::{
        metrics::ReplyMetrics,
        traces::{self, SpanKind},
    },
};

/// A reply is not retried after this many failed attempts. Attempts that were released or whose worker died do not count.
const MAX_TRIES: u32 = 4;
/// Maximum delay before a retry. If the model requires a longer one, the failure is final.
const MAX_BACKOFF: Duration = Duration::from_mins(2);
/// The delay before the retry is the normal backoff; the model requires no longer one.
const IMMEDIATELY: Retry = Retry::After { at_least: Duration::ZERO };

/// The text and the usage that an attempt produced.
#[derive(Clone, Copy)]
pub(super) struct AttemptOutput<'a> {
    pub(super) text: &'a str,
    pub(super) usage: &'a ModelUsage,
    /// The tokens of the prompt, estimated; 0 if no model was called or the estimate is not known.
    pub(super) prompt_tokens: usize,
}

impl<'a> AttemptOutput<'a> {
    /// The output of an attempt whose usage is unknown.
    pub(super) fn text(text: &'a str) -> Self {
        const UNKNOWN: &ModelUsage = &ModelUsage { model: None, tokens: None };
        Self { text, usage: UNKNOWN, prompt_tokens: 0 }
    }

    /// The tokens that count against the user's budgets: those that the model has counted. If the model counts no tokens, or the
    /// answer was stopped before it did, they are estimated from the length of prompt and answer, so that stopping a reply does
    /// not make it free.
    fn charged_tokens(self) -> i64 {
        match self.usage.tokens {
            Some(counted) => {
                // The count of the output includes thoughts.
                i64::from(counted.prompt) + i64::from(counted.output)
            }
            None => i64::try_from(self.prompt_tokens + prompt::estimated_tokens(self.text.len()))
                .unwrap_or(i64::MAX),
        }
    }

    fn usage(self) -> replies::Usage {
        let tokens = self.usage.tokens.map(|counted| (counted.prompt, counted.output, counted.thoughts));
        replies::Usage { model: self.usage.model.clone(), tokens }
    }
}

/// How an attempt ended.
pub(super) enum AttemptResult {
    /// The answer is complete, with this finish reason.
    Complete(String),
    Stopped,
    Failed(ModelError),
    /// The process shuts down: another worker writes the reply.
    Released,
    /// Another attempt has begun, or the reply has ended or was deleted.
    ClaimLost,
}

impl AttemptResult {
    fn failed(code: FailureCode, message: &str, retry: Retry) -> Self {
        Self::Failed(ModelError { code, message: message.to_owned(), retry, is_unreachable: false })
    }

    /// The text has reached the maximum length.
    pub(super) fn text_limit_reached() -> Self {
        Self::Complete("MAX_TOKENS".to_owned())
    }

    /// The result after the model has ended its answer. A blank answer is a failure, whatever the finish reason.
    pub(super) fn from_finish_reason(finish_reason: String, text: &str) -> Self {
        if !is_blank(text) {
            return Self::Complete(finish_reason);
        }
        let message = if finish_reason == "MAX_TOKENS" {
            "The model spent all of its tokens before any visible text (MAX_TOKENS).".to_owned()
        } else {
            format!("The model ended its answer without visible text ({finish_reason}).")
        };
        Self::failed(FailureCode::ModelUnavailable, &message, IMMEDIATELY)
    }

    pub(super) fn stream_ended_early() -> Self {
        Self::failed(
            FailureCode::ModelUnavailable,
            "The model's answer ended before it was complete.",
            IMMEDIATELY,
        )
    }

    pub(super) fn internal_error() -> Self {
        Self::failed(FailureCode::Internal, "An internal error occurred.", IMMEDIATELY)
    }

    pub(super) fn too_many_attempts() -> Self {
        Self::failed(FailureCode::Internal, "The reply could not be written.", Retry::Never)
    }
}

impl Replies {
    /// When, and how often, a reply is retried after a failure.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(self.timing.first_backoff, MAX_BACKOFF).with_jitter();
        RetryPolicy { backoff, max_tries: Some(MAX_TRIES) }
    }

    /// Stores the result and the output of an attempt. If the reply ends and `next_lease` is set, this also tries to claim the
    /// chatroom's next job, and returns it.
    pub(super) async fn finish_attempt(
        &self,
        row: &message::Model,
        job: &job::Model,
        output: AttemptOutput<'_>,
        result: &AttemptResult,
        next_lease: Option<Duration>,
    ) -> Result<Option<job::Model>> {
        let (reply, attempt) = (row.id, job.attempt);
        let now = self.clock.now();
        let _span = traces::span("completion", SpanKind::Internal);
        match result {
            AttemptResult::Complete(finish_reason) => {
                let finish_reason = Some(finish_reason.clone());
                let end = build_end(Status::Completed, output, now);
                self.end_reply(row, job, replies::End { finish_reason, ..end }, next_lease).await
            }
            AttemptResult::Stopped => {
                self.end_reply(row, job, build_end(Status::Cancelled, output, now), next_lease).await
            }
            AttemptResult::Released => {
                tracing::info!(message_id = %reply.0, attempt, "reply released for another worker");
                self.requeue(row, job, output, now, job.failures).await
            }
            AttemptResult::Failed(error) => {
                let failures = job.failures + 1;
                if let Some(delay) = delay_before_retry(error, failures, self.retry_policy()) {
                    self.metrics.retried(&error.code.to_value());
                    let backoff_ms = delay.as_millis();
                    tracing::warn!(message_id = %reply.0, attempt, %error, backoff_ms, "reply will be retried");
                    return self.requeue(row, job, output, now + delay, failures).await;
                }
                let failure = Some((error.code, error.message.clone()));
                let end = replies::End { failure, ..build_end(Status::Failed, output, now) };
                self.end_reply(row, job, end, next_lease).await
            }
            AttemptResult::ClaimLost => {
                tracing::info!(message_id = %reply.0, attempt, "reply attempt abandoned");
                // The log may have rejected this attempt although the worker still holds the claim. Then requeue the job: the log
                // accepts the next attempt, because its number is higher. Without the claim, these writes have no effect.
                if self.load_reply_or_complete_job(job).await?.is_some() {
                    let run_at = now + self.timing.first_backoff;
                    jobs::release(self.db.write(), Claim::of(job), run_at, job.failures).await?;
                }
                Ok(None)
            }
        }
    }

    /// Ends a reply, if the claim of its job is still held and the reply has not ended yet. With `next_lease`, this also tries to
    /// claim the chatroom's next job, and returns it.
    pub(super) async fn end_reply(
        &self,
        row: &message::Model,
        job: &job::Model,
        end: replies::End,
        next_lease: Option<Duration>,
    ) -> Result<Option<job::Model>> {
        let is_refunded = is_refunded(&end);
        // The prompt was reserved in the quota of the day on which the reply was created.
        let day = self.calendar.period(row.created_at).day;
        let charge = Charge { day, is_refunded, tokens: if is_refunded { 0 } else { end.charged_tokens } };
        let log_line = EndLogLine::new(row, job, &end);
        let lease_next_until = next_lease.map(|lease| end.at + lease);
        let title = self.title_job(row, &end);
        let finished =
            attempts::finish(&self.db, Claim::of(job), row, end, charge, lease_next_until, title).await?;
        let Some(Finished { has_ended_reply, next, may_have_waiting_job }) = finished else {
            return Ok(None);
        };
        if has_ended_reply {
            log_line.record_metrics(&self.metrics);
            log_line.log();
        }
        let mut topics = vec![Topic::Chatroom(row.chatroom_id), Topic::Chatrooms(row.user_id)];
        topics.extend((is_refunded || self.has_token_budgets).then_some(Topic::Account(row.user_id)));
        // The end of this reply may let a waiting job of the user start. A message that was sent while this reply was unfinished
        // has not been signalled by its sender.
        topics.extend((next.is_none() && may_have_waiting_job).then_some(Topic::Jobs));
        future::join(self.end_log(row.id), publish(&*self.signals, &topics)).await;
        Ok(next)
    }

    /// Returns the job and the reply to the queue, with the text so far. If a stop was requested, ends the reply instead.
    async fn requeue(
        &self,
        row: &message::Model,
        job: &job::Model,
        output: AttemptOutput<'_>,
        run_at: Timestamp,
        failures: i32,
    ) -> Result<Option<job::Model>> {
        let tx = self.db.begin().await?;
        let Some(chatroom) = chatrooms::increment_version(&tx, row.chatroom_id).await? else {
            return Ok(None);
        };
        let Some(released) = jobs::release(&tx, Claim::of(job), run_at, failures).await? else {
            return Ok(None);
        };
        if released.stop_requested {
            // The stop was requested during the attempt, so no other attempt follows.
            tx.rollback().await?;
            let end = build_end(Status::Cancelled, output, self.clock.now());
            return self.end_reply(row, job, end, None).await;
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        replies::requeue(&tx, attempt, output.text, output.usage(), chatroom.version).await?;
        commit(tx).await?;
        publish(
            &*self.signals,
            &[Topic::Chatroom(row.chatroom_id), Topic::Chatrooms(row.user_id), Topic::Jobs],
        )
        .await;
        Ok(None)
    }
}

/// The values to store for a reply that ends without a failure and without a finish reason. Callers set these two.
pub(super) fn build_end(status: Status, output: AttemptOutput<'_>, at: Timestamp) -> replies::End {
    let (content, usage) = (output.text.to_owned(), output.usage());
    let charged_tokens = output.charged_tokens();
    replies::End { status, content, failure: None, finish_reason: None, usage, charged_tokens, at }
}

/// The data of a reply's end for the log and the metrics: ids as in the database, and no text.
struct EndLogLine {
    user_id: UserId,
    chatroom_id: ChatroomId,
    message_id: MessageId,
    attempt: i32,
    status: Status,
    failure: Option<FailureCode>,
    finish_reason: Option<String>,
    usage: replies::Usage,
    /// The time since the reply was requested.
    duration_ms: i64,
}

impl EndLogLine {
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

    fn record_metrics(&self, metrics: &ReplyMetrics) {
        let duration = u64::try_from(self.duration_ms).map(Duration::from_millis).unwrap_or_default();
        let is_complete = self.status == Status::Completed;
        let failure = self.failure.map(|code| code.to_value());
        metrics.ended(&self.status.to_value(), failure.as_deref(), is_complete.then_some(duration));
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

/// The backoff, or the delay that the model requires if that is longer. None if the reply is not retried.
fn delay_before_retry(error: &ModelError, failures: i32, policy: RetryPolicy) -> Option<Duration> {
    match error.retry {
        Retry::After { at_least } if at_least <= MAX_BACKOFF => {
            Some(policy.delay(failures.unsigned_abs())?.max(at_least))
        }
        _ => None,
    }
}

/// Whether the prompt of a reply with this end is refunded: if the reply has failed. It is not refunded if the provider blocked
/// the reply after some text was shown; otherwise a user could make the model recite a text and read it for free. The result
/// depends on the end alone, and the transaction that stores the end refunds the prompt, so the refund happens exactly once.
fn is_refunded(end: &replies::End) -> bool {
    match end.failure {
        Some((FailureCode::ContentBlocked, _)) => is_blank(&end.content),
        Some(_) => true,
        None => false,
    }
}
