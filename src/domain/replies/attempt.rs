//! One attempt at a reply, made by one worker.
//!
//! ```text
//!  begin (row: STREAMING, attempt n; log: n-0) ──► model ──► chunk ──► log entry, published
//!                                                    │         └─ every 2 s: text so far to the row
//!                                                    ▼
//!           end | error | stop | released | claim lost (then no more text is written)
//! ```

use std::{pin::pin, time::Duration};

use entity::{job, message};
use futures_util::{
    FutureExt, StreamExt,
    future::{self, BoxFuture, Fuse, FusedFuture},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    Cursor, Replies,
    attempt_result::{AttemptOutput, AttemptResult},
    history_cache::CachedHistory,
    prompt,
};
use crate::{
    domain::{billing::tiers::Tier, publish::publish},
    error::Result,
    ports::{
        model::{Chunk, ModelUsage, Prompt},
        reply_log::{AppendError, LogEntry},
        signals::Topic,
    },
    store::{
        attempts::{self, Begun},
        jobs::{self, Claim},
        messages, replies,
    },
};

/// The kind of the jobs that write a reply.
pub const JOB_KIND: &str = "reply";
/// Maximum number of attempts at one reply, including those whose worker died. A reply that needs more is assumed to crash
/// workers.
const MAX_ATTEMPTS: i32 = 25;
/// Maximum length of a reply's text: twice the length that models write. A text that reaches it ends the reply with MAX_TOKENS.
const MAX_TEXT_BYTES: usize = 512 * 1024;
const FINISH_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The reasons to end a running attempt early.
#[derive(Clone, Debug, Default)]
pub struct CancelTokens {
    /// The user requested a stop.
    pub stop: CancellationToken,
    /// The process shuts down: release the job to another worker.
    pub release: CancellationToken,
    /// The claim is no longer held: write nothing more.
    pub claim_lost: CancellationToken,
}

/// A reply while it is being written.
struct Draft {
    attempt: replies::Attempt,
    text: String,
    usage: ModelUsage,
    /// The tokens of the prompt, estimated.
    prompt_tokens: usize,
    /// Bytes of the text that are in the log.
    logged: usize,
    /// Bytes of the text that are in the row.
    saved: usize,
}

/// What to do after an append to the log.
enum AfterAppend {
    /// More text has arrived meanwhile: append it now.
    AppendMore,
    /// Wait for the next chunk.
    Wait,
    /// Another writer has appended to the log: abandon the attempt.
    Fenced,
}

/// The offset at which the entry of an append ends, and the result of the append.
type Appended = (usize, Result<(), AppendError>);

impl Draft {
    fn new(attempt: replies::Attempt) -> Self {
        Self {
            attempt,
            text: String::new(),
            usage: ModelUsage::default(),
            prompt_tokens: 0,
            logged: 0,
            saved: 0,
        }
    }

    fn cursor(&self) -> Cursor {
        Cursor { attempt: self.attempt.number.cast_unsigned(), offset: self.text.len() }
    }

    /// Records the result of an append. If the log is unavailable, the text is appended together with the next chunk. If no chunk
    /// follows, subscribers read it from the row after the attempt has finished.
    fn record_append(&mut self, (end, result): Appended) -> AfterAppend {
        match result {
            Ok(()) => self.logged = end,
            Err(AppendError::Fenced) => return AfterAppend::Fenced,
            Err(AppendError::NotAtEnd { end }) => {
                // The log has lost entries or already contains this one. The next append continues at the log's end.
                self.logged = if end.attempt == self.cursor().attempt { end.offset } else { 0 };
                if !self.text.is_char_boundary(self.logged) {
                    // The log ends beyond this text or inside one of its characters, so another writer has appended to it.
                    return AfterAppend::Fenced;
                }
            }
            Err(AppendError::Unavailable(unavailable)) => {
                tracing::debug!(message_id = %self.attempt.reply.0, error = %unavailable, "reply log append failed");
                return AfterAppend::Wait;
            }
        }
        if self.logged < self.text.len() { AfterAppend::AppendMore } else { AfterAppend::Wait }
    }
}

impl Replies {
    /// Makes one attempt at the reply of a claimed job. Afterwards the job is done, requeued, or claimed by another worker. If
    /// the job is done and `next_lease` is set, this also tries to claim the chatroom's next job, with a lease of this length,
    /// and returns it.
    ///
    /// # Errors
    /// An internal error, after which the job is unchanged: call [`fail_attempt`](Self::fail_attempt).
    pub async fn run_attempt(
        &self,
        job: &job::Model,
        tokens: &CancelTokens,
        next_lease: Option<Duration>,
    ) -> Result<Option<job::Model>> {
        let immediate_result = if job.stop_requested {
            Some(AttemptResult::Stopped)
        } else {
            (job.attempt > MAX_ATTEMPTS).then(AttemptResult::too_many_attempts)
        };
        if let Some(result) = immediate_result {
            let Some(row) = self.load_reply_or_complete_job(job).await? else { return Ok(None) };
            let text = self.text_so_far(&row).await;
            return self.finish_attempt(&row, job, AttemptOutput::text(&text), &result, next_lease).await;
        }
        let cached = match job.chatroom_id {
            Some(chatroom) => self.history_cache.get(chatroom).await,
            None => CachedHistory::default(),
        };
        let Some(begun) = self.begin_attempt(job, &cached).await? else {
            let Some(row) = self.load_reply_or_complete_job(job).await? else { return Ok(None) };
            return self
                .finish_attempt(&row, job, AttemptOutput::text(""), &AttemptResult::ClaimLost, None)
                .await;
        };
        let (row, tier) = (begun.reply.clone(), Tier::of(begun.is_pro));
        let mut draft = Draft::new(replies::Attempt { reply: row.id, number: job.attempt });
        let result = match self.build_prompt_and_open_log(&mut draft, begun, &cached).await? {
            Some(prompt) => self.generate(&mut draft, prompt, tier, tokens).await,
            None => AttemptResult::ClaimLost,
        };
        // The full text may exist only in this process, so retry the write until it succeeds, the claim is lost or the process
        // shuts down.
        loop {
            let output =
                AttemptOutput { text: &draft.text, usage: &draft.usage, prompt_tokens: draft.prompt_tokens };
            let finish = self.finish_attempt(&row, job, output, &result, next_lease);
            match tokens.claim_lost.run_until_cancelled(finish).await {
                Some(Err(error)) if !tokens.release.is_cancelled() => {
                    tracing::warn!(message_id = %row.id.0, ?error, "storing the attempt's result failed; retrying");
                    tokens.claim_lost.run_until_cancelled(tokio::time::sleep(FINISH_RETRY_DELAY)).await;
                }
                Some(finished) => return finished,
                None => return Ok(None),
            }
        }
    }

    /// Finishes an attempt that ended with an internal error, and increments the job's `failures`.
    pub async fn fail_attempt(&self, job: &job::Model) -> Result<()> {
        let Some(row) = self.load_reply_or_complete_job(job).await? else { return Ok(()) };
        let text = self.text_so_far(&row).await;
        let result = AttemptResult::internal_error();
        self.finish_attempt(&row, job, AttemptOutput::text(&text), &result, None).await.map(drop)
    }

    /// Loads the row of a job's reply. If the reply has ended or was deleted, deletes the job and returns none.
    pub(super) async fn load_reply_or_complete_job(
        &self,
        job: &job::Model,
    ) -> Result<Option<message::Model>> {
        let found = match job.message_id {
            Some(id) => messages::by_id(self.db.read(), id).await?,
            None => None,
        };
        let found = found.filter(|row| !row.status.is_final());
        if found.is_none() {
            jobs::complete(self.db.write(), Claim::of(job)).await?;
        }
        Ok(found)
    }

    /// The text that subscribers may have received: the text in the log or the text in the row, whichever is longer.
    pub(super) async fn text_so_far(&self, row: &message::Model) -> String {
        let entries = self.log.read(row.id, Cursor::default(), usize::MAX).await.unwrap_or_default();
        let of_attempt =
            entries.into_iter().filter(|entry| i64::from(entry.end.attempt) == i64::from(row.attempt));
        let logged: String = of_attempt.map(|entry| entry.text).collect();
        if logged.len() > row.content.len() { logged } else { row.content.clone() }
    }

    /// Begins the attempt in the row, and reads the messages of the prompt that are deeper than the cached ones. Returns none if
    /// the reply has ended or was deleted, or another attempt has begun.
    async fn begin_attempt(&self, job: &job::Model, cached: &CachedHistory) -> Result<Option<Begun>> {
        let (Some(reply), Some(chatroom)) = (job.message_id, job.chatroom_id) else { return Ok(None) };
        let attempt = replies::Attempt { reply, number: job.attempt };
        let after_depth = cached.first().map_or(-1, |message| message.depth);
        let now = self.clock.now();
        Ok(attempts::begin(&self.db, chatroom, attempt, after_depth, prompt::FIRST_PAGE, now).await?)
    }

    /// Builds the prompt, and begins the attempt in the log. Returns the prompt, or none if another attempt has begun or the
    /// message that is replied to was deleted.
    async fn build_prompt_and_open_log(
        &self,
        draft: &mut Draft,
        begun: Begun,
        cached: &CachedHistory,
    ) -> Result<Option<Prompt>> {
        let (user, chatroom, requested_at) =
            (begun.reply.user_id, begun.reply.chatroom_id, begun.reply.created_at);
        let Some(prompt) = self.build_prompt(self.db.read(), begun, cached).await? else { return Ok(None) };
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.0,
            message_id = %draft.attempt.reply.0,
            attempt = draft.attempt.number,
            model = prompt.model,
            since_request_ms = self.clock.now().signed_duration_since(requested_at).num_milliseconds(),
            "reply attempt started"
        );
        // An entry without text begins the attempt in the log.
        let signals = [Topic::Chatroom(chatroom)];
        let (appended, ()) = future::join(self.append(draft), publish(&*self.signals, &signals)).await;
        Ok((!matches!(draft.record_append(appended), AfterAppend::Fenced)).then_some(prompt))
    }

    /// Calls the model, and appends its answer to the log until the answer ends or the attempt is cancelled.
    async fn generate(
        &self,
        draft: &mut Draft,
        prompt: Prompt,
        tier: Tier,
        tokens: &CancelTokens,
    ) -> AttemptResult {
        draft.prompt_tokens = prompt::estimated_prompt_tokens(&prompt);
        let mut chunks = self.models.generate(prompt, tier);
        let mut save_interval = interval_at(Instant::now() + self.timing.save_every, self.timing.save_every);
        save_interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // At most one append runs at a time. Chunks that arrive meanwhile are merged into the next append, so that a slow or
        // unavailable log does not block reading from the model.
        let mut appending = Fuse::terminated();
        let (mut claim_lost, mut stop, mut release) = (
            pin!(tokens.claim_lost.cancelled()),
            pin!(tokens.stop.cancelled()),
            pin!(tokens.release.cancelled()),
        );
        loop {
            tokio::select! {
                biased;
                () = &mut claim_lost => return AttemptResult::ClaimLost,
                () = &mut stop => return AttemptResult::Stopped,
                () = &mut release => return AttemptResult::Released,
                appended = &mut appending => match draft.record_append(appended) {
                    AfterAppend::AppendMore => appending = self.append(draft).fuse(),
                    AfterAppend::Wait => {}
                    AfterAppend::Fenced => return AttemptResult::ClaimLost,
                },
                _ = save_interval.tick(), if draft.saved < draft.text.len() => {
                    let is_claim_held = tokens.claim_lost.run_until_cancelled(self.save(draft)).await;
                    if !is_claim_held.unwrap_or_default() {
                        return AttemptResult::ClaimLost;
                    }
                }
                chunk = chunks.next() => {
                    match chunk {
                        Some(Ok(Chunk::Usage(usage))) => {
                            draft.usage = usage;
                            continue;
                        }
                        // PostgreSQL cannot store U+0000.
                        Some(Ok(Chunk::Text(text))) => {
                            draft.text.extend(text.split('\0'));
                            if draft.text.len() >= MAX_TEXT_BYTES {
                                draft.text.truncate(draft.text.floor_char_boundary(MAX_TEXT_BYTES));
                                return AttemptResult::text_limit_reached();
                            }
                        }
                        Some(Ok(Chunk::End { finish_reason })) => {
                            return AttemptResult::from_finish_reason(finish_reason, &draft.text);
                        }
                        Some(Err(error)) => return AttemptResult::Failed(error),
                        None => return AttemptResult::stream_ended_early(),
                    }
                    if appending.is_terminated() {
                        appending = self.append(draft).fuse();
                    }
                }
            }
        }
    }

    /// Saves the text so far in the row. Returns false if the claim is lost. A failed save is retried at the next tick.
    async fn save(&self, draft: &mut Draft) -> bool {
        match replies::save(self.db.write(), draft.attempt, &draft.text).await {
            Ok(is_held) => {
                draft.saved = draft.text.len();
                is_held
            }
            Err(error) => {
                tracing::warn!(message_id = %draft.attempt.reply.0, %error, "saving the reply's text so far failed");
                true
            }
        }
    }

    /// Appends the text that is not in the log yet.
    fn append(&self, draft: &Draft) -> BoxFuture<'static, Appended> {
        let (log, reply) = (self.log.clone(), draft.attempt.reply);
        let entry = LogEntry { end: draft.cursor(), text: draft.text[draft.logged..].to_owned() };
        let end = entry.end.offset;
        async move { (end, log.append(reply, entry).await) }.boxed()
    }
}
