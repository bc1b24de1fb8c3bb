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
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse, FusedFuture},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    Chat, Cursor,
    outcome::{Outcome, Written},
};
use crate::{
    error::Result,
    ports::{
        model::{Chunk, Prompt, Usage},
        reply_log::{AppendError, Entry},
        signals::Topic,
    },
    store::{chatrooms, commit, jobs, messages, replies},
};

/// The kind of the jobs that write a reply.
pub const JOB_KIND: &str = "reply";
/// Attempts at one reply, those included whose worker died: past this the reply itself is what kills workers.
const MOST_ATTEMPTS: i32 = 25;
/// The longest text, in bytes: twice what models write. A longer one ends there, as at the model's own limit.
const LONGEST_TEXT: usize = 512 * 1024;
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a running attempt listens to.
#[derive(Clone, Debug, Default)]
pub struct Cues {
    /// The reply was asked to stop.
    pub stop: CancellationToken,
    /// The process ends: let another go on.
    pub hand_back: CancellationToken,
    /// The claim is no longer held: write nothing more.
    pub lost: CancellationToken,
}

/// A reply while it is written.
struct Draft {
    attempt: replies::Attempt,
    text: String,
    usage: Usage,
    /// How much of the text is in the log, and in the row.
    logged: usize,
    saved: usize,
}

impl Draft {
    fn new(attempt: replies::Attempt) -> Self {
        Self { attempt, text: String::new(), usage: Usage::default(), logged: 0, saved: 0 }
    }

    fn cursor(&self) -> Cursor {
        Cursor { attempt: self.attempt.number.cast_unsigned(), offset: self.text.len() }
    }

    /// Takes the log's answer. First: whether the attempt is still the newest. Second: whether there is more to append
    /// now; to a log that does not answer only with the next piece, and the row tells the text in the end.
    fn logged(&mut self, (end, said): Appended) -> (bool, bool) {
        match said {
            Ok(()) => {
                self.logged = end;
                (true, self.logged < self.text.len())
            }
            Err(AppendError::Fenced) => (false, false),
            Err(AppendError::OutOfStep { end }) => {
                self.logged = if end.attempt == self.cursor().attempt { end.offset } else { 0 };
                // A log that has more of this attempt than was written is not this one's.
                (self.text.is_char_boundary(self.logged), self.logged < self.text.len())
            }
            Err(AppendError::Unavailable(unavailable)) => {
                tracing::debug!(reply = %self.attempt.reply, error = %unavailable, "a reply goes on without its log");
                (true, false)
            }
        }
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
            let text = self.text_so_far(&row).await;
            return self.conclude(&row, job, Written::text(&text), &Outcome::Stopped).await;
        }
        if job.attempt > MOST_ATTEMPTS {
            let text = self.text_so_far(&row).await;
            return self.conclude(&row, job, Written::text(&text), &Outcome::given_up()).await;
        }
        let mut draft = Draft::new(replies::Attempt { reply: row.id, number: job.attempt });
        let outcome = match self.begin(&row, &mut draft).await? {
            Some(prompt) => self.generate(&mut draft, prompt, cues).await,
            None => Outcome::Lost,
        };
        // The text is in hand: a database that fails now is asked again for as long as the claim holds.
        loop {
            let written = Written { text: &draft.text, usage: &draft.usage };
            let concluded = self.conclude(&row, job, written, &outcome);
            match cues.lost.run_until_cancelled(concluded).await {
                Some(Err(error)) if !cues.hand_back.is_cancelled() => {
                    tracing::warn!(reply = %row.id, ?error, "what came of a reply was not stored");
                    cues.lost.run_until_cancelled(tokio::time::sleep(STORE_AGAIN_AFTER)).await;
                }
                Some(concluded) => return concluded,
                None => return Ok(()),
            }
        }
    }

    /// After an attempt that broke by a fault of ours: it counts as a failed try.
    pub async fn reply_broke(&self, job: &job::Model) -> Result<()> {
        let Some(row) = self.reply_of(job).await? else { return Ok(()) };
        let text = self.text_so_far(&row).await;
        self.conclude(&row, job, Written::text(&text), &Outcome::broke()).await
    }

    /// The row that a job is about; a job without one that can be written is done.
    pub(super) async fn reply_of(&self, job: &job::Model) -> Result<Option<message::Model>> {
        let row = match job.message_id {
            Some(id) => messages::by_id(self.db.read(), id).await?,
            None => None,
        };
        let row = row.filter(|row| !row.status.is_final());
        if row.is_none() {
            jobs::complete(self.db.write(), super::claim(job)).await?;
        }
        Ok(row)
    }

    /// The text that a reply's followers may have seen: the log's, where it is ahead of the row.
    pub(super) async fn text_so_far(&self, row: &message::Model) -> String {
        let entries = self.log.read(row.id, Cursor::default(), usize::MAX).await.unwrap_or_default();
        let of_row =
            entries.into_iter().filter(|entry| i64::from(entry.end.attempt) == i64::from(row.attempt));
        let logged: String = of_row.map(|entry| entry.text).collect();
        if logged.len() > row.content.len() { logged } else { row.content.clone() }
    }

    /// Opens the attempt in the row and in the log. None: it is not ours to make.
    async fn begin(&self, row: &message::Model, draft: &mut Draft) -> Result<Option<Prompt>> {
        let Some(prompt) = self.prompt(self.db.read(), row).await? else { return Ok(None) };
        let tx = self.db.begin().await?;
        let Some(version) = chatrooms::advance(&tx, row.chatroom_id).await? else { return Ok(None) };
        if !replies::begin(&tx, draft.attempt, version).await? {
            return Ok(None);
        }
        commit(tx).await?;
        tracing::info!(
            user_id = %row.user_id.0,
            chatroom_id = %row.chatroom_id.0,
            message_id = %row.id.0,
            attempt = draft.attempt.number,
            model = prompt.model,
            queued_ms = self.clock.now().signed_duration_since(row.created_at).num_milliseconds(),
            "reply started"
        );
        let opened = self.append(draft).await;
        if !draft.logged(opened).0 {
            return Ok(None);
        }
        self.tell(&[Topic::Room(row.chatroom_id)]).await;
        Ok(Some(prompt))
    }

    async fn generate(&self, draft: &mut Draft, prompt: Prompt, cues: &Cues) -> Outcome {
        let mut chunks = self.model.write(prompt);
        let mut save = interval_at(Instant::now() + self.pace.save_every, self.pace.save_every);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // One append is on its way at a time: what comes meanwhile goes with the next, so that a log that is slow, or
        // away, holds up nothing.
        let mut appending = Fuse::terminated();
        loop {
            let held = tokio::select! {
                biased;
                () = cues.lost.cancelled() => return Outcome::Lost,
                () = cues.stop.cancelled() => return Outcome::Stopped,
                () = cues.hand_back.cancelled() => return Outcome::HandedBack,
                appended = &mut appending => {
                    let (held, again) = draft.logged(appended);
                    if held && again {
                        appending = self.append(draft).fuse();
                    }
                    held
                }
                _ = save.tick(), if draft.saved < draft.text.len() => {
                    let saved = cues.lost.run_until_cancelled(self.save(draft)).await;
                    saved.unwrap_or_default()
                }
                chunk = chunks.next() => {
                    match chunk {
                        Some(Ok(Chunk::Usage(usage))) => {
                            draft.usage = usage;
                            continue;
                        }
                        // PostgreSQL stores no U+0000.
                        Some(Ok(Chunk::Text(text))) => {
                            draft.text.extend(text.chars().filter(|&c| c != '\0'));
                            if draft.text.len() >= LONGEST_TEXT {
                                draft.text.truncate(draft.text.floor_char_boundary(LONGEST_TEXT));
                                return Outcome::cut_short();
                            }
                        }
                        Some(Ok(Chunk::End { finish_reason })) => {
                            return Outcome::of_end(finish_reason, &draft.text);
                        }
                        Some(Err(error)) => return Outcome::Failed(error),
                        None => return Outcome::cut_off(),
                    }
                    if appending.is_terminated() {
                        appending = self.append(draft).fuse();
                    }
                    true
                }
            };
            if !held {
                return Outcome::Lost;
            }
        }
    }

    /// Saves the text so far; false if the row says that another attempt has begun, or the reply has ended. A database
    /// that does not answer is asked again with the next text.
    async fn save(&self, draft: &mut Draft) -> bool {
        match replies::save(self.db.write(), draft.attempt, &draft.text).await {
            Ok(held) => {
                draft.saved = draft.text.len();
                held
            }
            Err(error) => {
                tracing::warn!(reply = %draft.attempt.reply, %error, "a reply's text so far was not saved");
                true
            }
        }
    }

    /// Appends what is not in the log yet.
    fn append(&self, draft: &Draft) -> BoxFuture<'static, Appended> {
        let (log, reply) = (self.log.clone(), draft.attempt.reply);
        let entry = Entry { end: draft.cursor(), text: draft.text[draft.logged..].to_owned() };
        let end = entry.end.offset;
        async move { (end, log.append(reply, entry).await) }.boxed()
    }
}

/// Where an entry ended, and what the log said to it.
type Appended = (usize, Result<(), AppendError>);
