//! Writing a reply: one attempt, by one worker.
//!
//! ```text
//!  begin (row: STREAMING, attempt n; log: n-0) ──► model ──► piece ──► log, announced
//!                                                    │        └─ every 2 s: text so far to the row
//!                                                    ▼
//!           end | error | stop | handed back | another attempt has begun (then nothing more is written)
//! ```

use std::time::Duration;

use entity::{job, message};
use futures_util::StreamExt;
use message::{FailureCode, Status};
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{Chat, Cursor, quota};
use crate::{
    domain::random,
    error::Result,
    ports::{
        model::{Ending, ModelError, Piece, Prompt, Retry},
        reply_log::{AppendError, Entry},
        signals::Topic,
    },
    store::{chatrooms, jobs, messages, replies},
};

/// Model calls for one reply, the first included.
const MOST_TRIES: i32 = 4;
/// Attempts at one reply, those included whose worker died: past this the reply itself is what kills workers.
const MOST_ATTEMPTS: i32 = 25;
/// A model that asks for a longer wait than this has refused.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// What a running attempt listens to.
#[derive(Clone, Debug, Default)]
pub struct Cues {
    /// The reply was asked to stop.
    pub stop: CancellationToken,
    /// The process ends: let another go on.
    pub hand_back: CancellationToken,
}

/// How an attempt came to its end.
enum Outcome {
    Whole(Ending),
    Stopped,
    Failed(ModelError),
    HandedBack,
    /// Another attempt has begun, or the reply has been ended or deleted.
    Lost,
}

pub(super) fn claim(job: &job::Model) -> jobs::Claim {
    jobs::Claim { job: job.id, attempt: job.attempt }
}

/// A reply while it is written.
struct Draft {
    attempt: replies::Attempt,
    text: String,
    /// How much of the text is in the log, and in the row.
    logged: usize,
    saved: usize,
}

impl Draft {
    fn cursor(&self) -> Cursor {
        Cursor { attempt: self.attempt.number.cast_unsigned(), offset: self.text.len() }
    }
}

impl Chat {
    /// Makes one attempt at the reply of a claimed job, and leaves the job done, back in the queue, or to whoever has
    /// claimed it since.
    ///
    /// # Errors
    /// Ours, after which the job is as it was: [`reply_broke`](Self::reply_broke) says what then.
    pub async fn write_reply(&self, job: &job::Model, cues: &Cues) -> Result<()> {
        let Some(row) = self.reply_of(job).await? else { return Ok(()) };
        if job.stop_requested {
            return self.cancel_claimed(&row, job).await;
        }
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        let mut draft = Draft { attempt, text: String::new(), logged: 0, saved: 0 };
        let outcome = match self.begin(&row, job, &mut draft).await? {
            Some(prompt) => self.generate(&mut draft, prompt, cues).await?,
            None => Outcome::Lost,
        };
        self.conclude(&row, job, draft.text, outcome).await
    }

    /// After an attempt that broke by a fault of ours: it counts as a failed try.
    pub async fn reply_broke(&self, job: &job::Model) -> Result<()> {
        let Some(row) = self.reply_of(job).await? else { return Ok(()) };
        let error = ModelError {
            code: FailureCode::Internal,
            message: "Something went wrong on our side.".to_owned(),
            retry: Retry::After { at_least: Duration::ZERO },
        };
        let content = if row.attempt == job.attempt { row.content.clone() } else { String::new() };
        self.conclude(&row, job, content, Outcome::Failed(error)).await
    }

    /// The row that a job is about; a job without one that can be written is done.
    async fn reply_of(&self, job: &job::Model) -> Result<Option<message::Model>> {
        let row = match job.message_id {
            Some(id) => messages::by_id(self.db.read(), id).await?,
            None => None,
        };
        let row = row.filter(|row| !row.status.is_final());
        if row.is_none() {
            jobs::done(self.db.write(), claim(job)).await?;
        }
        Ok(row)
    }

    async fn cancel_claimed(&self, row: &message::Model, job: &job::Model) -> Result<()> {
        let shown = self.text_in_log(row.id).await;
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(()) };
        self.cancel(&tx, row, job, version, shown).await?;
        tx.commit().await?;
        self.tell_ended(row).await;
        Ok(())
    }

    /// Opens the attempt in the row and in the log. None: it is not ours to make.
    async fn begin(
        &self,
        row: &message::Model,
        job: &job::Model,
        draft: &mut Draft,
    ) -> Result<Option<Prompt>> {
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(None) };
        if job.attempt > MOST_ATTEMPTS || !replies::begin(&tx, draft.attempt, version).await? {
            return Ok(None);
        }
        let prompt = self.prompt(&tx, row).await?;
        tx.commit().await?;
        if !self.append(draft).await {
            return Ok(None);
        }
        self.tell(&[Topic::Room(row.chatroom_id)]).await;
        Ok(prompt)
    }

    async fn generate(&self, draft: &mut Draft, prompt: Prompt, cues: &Cues) -> Result<Outcome> {
        let mut pieces = self.model.write(prompt);
        let mut save = interval_at(tokio::time::Instant::now() + self.pace.save_every, self.pace.save_every);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cues.stop.cancelled() => return Ok(Outcome::Stopped),
                () = cues.hand_back.cancelled() => return Ok(Outcome::HandedBack),
                _ = save.tick(), if draft.saved < draft.text.len() => {
                    if !replies::save(self.db.write(), draft.attempt, &draft.text).await? {
                        return Ok(Outcome::Lost);
                    }
                    draft.saved = draft.text.len();
                }
                piece = pieces.next() => match piece {
                    Some(Ok(Piece::Text(text))) => {
                        draft.text.push_str(&text);
                        if !self.append(draft).await {
                            return Ok(Outcome::Lost);
                        }
                    }
                    Some(Ok(Piece::End(ending))) => return Ok(Outcome::Whole(ending)),
                    Some(Err(error)) => return Ok(Outcome::Failed(error)),
                    None => return Ok(Outcome::Failed(cut_off())),
                },
            }
        }
    }

    /// Appends what is not in the log yet; false if the log says that another attempt has begun. A log that does not
    /// answer gets it with the next piece, or the row tells it in the end.
    async fn append(&self, draft: &mut Draft) -> bool {
        let entry = Entry { end: draft.cursor(), text: draft.text[draft.logged..].to_owned() };
        match self.log.append(draft.attempt.reply, entry).await {
            Ok(()) => draft.logged = draft.text.len(),
            Err(AppendError::Fenced) => return false,
            Err(AppendError::Unavailable(unavailable)) => {
                tracing::warn!(reply = %draft.attempt.reply, error = %unavailable, "a reply goes on without its log");
            }
        }
        true
    }

    async fn conclude(
        &self,
        row: &message::Model,
        job: &job::Model,
        text: String,
        outcome: Outcome,
    ) -> Result<()> {
        let (reply, attempt) = (row.id, job.attempt);
        let now = self.clock.now();
        match outcome {
            Outcome::Whole(ending) => {
                tracing::info!(%reply, attempt, finish_reason = ending.finish_reason, "reply completed");
                let end = replies::End {
                    status: Status::Completed,
                    content: text,
                    failure: None,
                    model: ending.model,
                    finish_reason: Some(ending.finish_reason),
                    tokens: ending.tokens.map(|counted| (counted.prompt, counted.output, counted.thoughts)),
                    at: now,
                };
                self.end_reply(row, job, end).await
            }
            Outcome::Stopped => {
                tracing::info!(%reply, attempt, "reply stopped");
                self.end_reply(row, job, ended(Status::Cancelled, text, None, now)).await
            }
            Outcome::HandedBack => {
                tracing::info!(%reply, attempt, "reply handed back");
                self.requeue(row, job, &text, now, job.failures).await
            }
            Outcome::Failed(error) => {
                let tries = job.failures + 1;
                if let Some(wait) = wait_before_next(&error, tries, self.pace.first_retry_after)? {
                    tracing::warn!(%reply, attempt, %error, wait_ms = wait.as_millis(), "reply is tried again");
                    return self.requeue(row, job, &text, now + wait, tries).await;
                }
                tracing::warn!(%reply, attempt, %error, "reply failed");
                let failure = Some((error.code, error.message));
                self.end_reply(row, job, ended(Status::Failed, text, failure, now)).await
            }
            Outcome::Lost if job.attempt > MOST_ATTEMPTS => {
                tracing::error!(%reply, attempt, "a reply's workers died too often");
                let failure = Some((FailureCode::Internal, "The reply could not be written.".to_owned()));
                let end = ended(Status::Failed, row.content.clone(), failure, now);
                let job = job::Model { attempt: row.attempt, ..job.clone() };
                self.end_reply(row, &job, end).await
            }
            Outcome::Lost => {
                tracing::info!(%reply, attempt, "attempt given up: the reply has moved on");
                jobs::done(self.db.write(), claim(job)).await.map(drop)?;
                Ok(())
            }
        }
    }

    async fn end_reply(&self, row: &message::Model, job: &job::Model, end: replies::End) -> Result<()> {
        let failed = end.status == Status::Failed;
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(()) };
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        if !replies::end(&tx, attempt, version, end).await? {
            return Ok(());
        }
        jobs::done(&tx, claim(job)).await?;
        if failed {
            quota::give_back(&tx, row).await?;
        }
        tx.commit().await?;
        self.tell_ended(row).await;
        Ok(())
    }

    async fn requeue(
        &self,
        row: &message::Model,
        job: &job::Model,
        text: &str,
        run_at: entity::Timestamp,
        failures: i32,
    ) -> Result<()> {
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(()) };
        let attempt = replies::Attempt { reply: row.id, number: job.attempt };
        replies::requeue(&tx, attempt, text, version).await?;
        jobs::release(&tx, claim(job), run_at, failures).await?;
        tx.commit().await?;
        self.tell(&[Topic::Room(row.chatroom_id), Topic::Jobs]).await;
        Ok(())
    }
}

fn ended(
    status: Status,
    content: String,
    failure: Option<(FailureCode, String)>,
    at: entity::Timestamp,
) -> replies::End {
    replies::End { status, content, failure, model: None, finish_reason: None, tokens: None, at }
}

fn cut_off() -> ModelError {
    ModelError {
        code: FailureCode::ModelUnavailable,
        message: "The model's answer ended before it was whole.".to_owned(),
        retry: Retry::After { at_least: Duration::ZERO },
    }
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
