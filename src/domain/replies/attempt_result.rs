//! The result of an attempt at a reply, and finishing the attempt: the reply ends, is requeued, or stays as it is because
//! the claim is lost.
//!
//! Finishing is one transaction, which also deletes or requeues the job. If the claim is lost, the transaction writes nothing.

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

/// Model calls for one reply, the first included.
const MAX_TRIES: u32 = 4;
/// Maximum delay before a retry. If the model requires a longer one, the failure is final.
const MAX_BACKOFF: Duration = Duration::from_mins(2);
const IMMEDIATELY: Retry = Retry::After { at_least: Duration::ZERO };

/// The text and the usage that an attempt produced.
#[derive(Clone, Copy)]
pub(super) struct AttemptOutput<'a> {
    pub(super) text: &'a str,
    pub(super) usage: &'a ModelUsage,
    /// The tokens of the prompt, estimated; 0 if no model was called.
    pub(super) prompt_tokens: usize,
}

impl<'a> AttemptOutput<'a> {
    /// The output of an attempt whose usage is unknown.
    pub(super) fn text(text: &'a str) -> Self {
        const NONE: &ModelUsage = &ModelUsage { model: None, tokens: None };
        Self { text, usage: NONE, prompt_tokens: 0 }
    }

    /// The tokens as the model counted them. A model that counts none, or whose answer was stopped before it did, is charged by the
    /// length of the texts, so that stopping a reply does not make it free.
    fn charged_tokens(self) -> i64 {
        match self.usage.tokens {
            Some(counted) => {
                // Thoughts are part of the output.
                i64::from(counted.prompt) + i64::from(counted.output)
            }
            None => i64::try_from(self.prompt_tokens + prompt::tokens(self.text.len())).unwrap_or(i64::MAX),
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
    /// The process shuts down: another worker continues.
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

    /// The model ended its answer. A blank answer is a failed try, whatever the finish reason.
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
    /// When a reply is retried after a failure.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(self.timing.first_backoff, MAX_BACKOFF).with_jitter();
        RetryPolicy { backoff, max_tries: Some(MAX_TRIES) }
    }

    /// Stores the result and the output of an attempt.
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
                let end = end(Status::Completed, output, now);
                self.end_reply(row, job, replies::End { finish_reason, ..end }, next_lease).await
            }
            AttemptResult::Stopped => {
                self.end_reply(row, job, end(Status::Cancelled, output, now), next_lease).await
            }
            AttemptResult::Released => {
                tracing::info!(message_id = %reply.0, attempt, "reply released for another worker");
                self.requeue(row, job, output, now, job.failures).await
            }
            AttemptResult::Failed(error) => {
                let failures = job.failures + 1;
                if let Some(wait) = delay_before_retry(error, failures, self.retry_policy()) {
                    self.metrics.retried(&error.code.to_value());
                    let backoff_ms = wait.as_millis();
                    tracing::warn!(message_id = %reply.0, attempt, %error, backoff_ms, "reply will be retried");
                    return self.requeue(row, job, output, now + wait, failures).await;
                }
                let failure = Some((error.code, error.message.clone()));
                let end = replies::End { failure, ..end(Status::Failed, output, now) };
                self.end_reply(row, job, end, next_lease).await
            }
            AttemptResult::ClaimLost => {
                tracing::info!(message_id = %reply.0, attempt, "reply attempt abandoned");
                // The log may have fenced this attempt although the worker still holds the claim. Then requeue the job, because
                // the next attempt has a higher number.
                if self.load_reply_or_complete_job(job).await?.is_some() {
                    let run_at = now + self.timing.first_backoff;
                    jobs::release(self.db.write(), Claim::of(job), run_at, job.failures).await?;
                }
                Ok(None)
            }
        }
    }

    /// Ends a reply, if the claim of its job is still held and the reply has not ended yet.
    pub(super) async fn end_reply(
        &self,
        row: &message::Model,
        job: &job::Model,
        end: replies::End,
        next_lease: Option<Duration>,
    ) -> Result<Option<job::Model>> {
        let is_refunded = is_refunded(&end);
        // The prompt was reserved on the day on which the reply was created.
        let day = self.calendar.period(row.created_at).day;
        let charge = Charge { day, is_refunded, tokens: if is_refunded { 0 } else { end.charged_tokens } };
        let log_line = EndLogLine::new(row, job, &end);
        let lease_next_until = next_lease.map(|lease| end.at + lease);
        let title = self.title_job(row, &end);
        let finished =
            attempts::finish(&self.db, Claim::of(job), row, end, charge, lease_next_until, title).await?;
        let Some(Finished { is_ended, next }) = finished else { return Ok(None) };
        if is_ended {
            log_line.count(&self.metrics);
            log_line.log();
        }
        let mut topics = vec![Topic::Chatroom(row.chatroom_id), Topic::Chatrooms(row.user_id)];
        topics.extend((is_refunded || self.has_token_budgets).then_some(Topic::Account(row.user_id)));
        // A waiting job of the user may be below the cap on parallel replies now. This is read after the commit, because a message
        // that was sent behind this reply is not signalled by its sender.
        if next.is_none() && jobs::is_waiting(self.db.read(), row.user_id).await.unwrap_or(true) {
            topics.push(Topic::Jobs);
        }
        future::join(self.end_log(row.id), publish(&*self.signals, &topics)).await;
        Ok(next)
    }

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
            let end = end(Status::Cancelled, output, self.clock.now());
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

pub(super) fn end(status: Status, output: AttemptOutput<'_>, at: Timestamp) -> replies::End {
    let (content, usage) = (output.text.to_owned(), output.usage());
    let charged_tokens = output.charged_tokens();
    replies::End { status, content, failure: None, finish_reason: None, usage, charged_tokens, at }
}

/// The log line of a reply's end: ids as in the database, and no text.
struct EndLogLine {
    user_id: UserId,
    chatroom_id: ChatroomId,
    message_id: MessageId,
    attempt: i32,
    status: Status,
    failure: Option<FailureCode>,
    finish_reason: Option<String>,
    usage: replies::Usage,
    /// Since the reply was requested.
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

    fn count(&self, metrics: &ReplyMetrics) {
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

/// The backoff, or the delay that the model requires if it is longer. None: no retry.
fn delay_before_retry(error: &ModelError, failures: i32, policy: RetryPolicy) -> Option<Duration> {
    match error.retry {
        Retry::After { at_least } if at_least <= MAX_BACKOFF => {
            Some(policy.delay(failures.unsigned_abs())?.max(at_least))
        }
        _ => None,
    }
}

/// Whether the prompt of a reply with this end is refunded. It is not if the reply was blocked after some text was shown;
/// otherwise a user could make the model recite a text and read it for free. The result depends on the end alone, and the
/// transaction that stores the end refunds the prompt, so the refund happens exactly once.
fn is_refunded(end: &replies::End) -> bool {
    match end.failure {
        Some((FailureCode::ContentBlocked, _)) => is_blank(&end.content),
        Some(_) => true,
        None => false,
    }
}
