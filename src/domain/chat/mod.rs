//! Chatrooms, messages and replies.
//!
//! ```text
//!  send ──► one transaction: message, QUEUED reply, job, quota, idempotency key ──► signals: jobs, chatroom, account
//!
//!  a worker claims the job ──► attempt: model ──Chunk──► reply log ──LogEntry──► subscribe ──ReplyEvent──► API
//!                                 │                                                 ▲
//!                                 └──► row: text so far, then the end ──────────────┘
//! ```

mod account;
mod attempt;
mod attempt_result;
mod branch;
mod buffered;
mod chatroom_events;
mod chatrooms;
mod input;
mod prompt;
mod quota;
mod regenerate;
mod send;
mod stop;
mod subscribe;

use std::{sync::Arc, time::Duration};

use entity::{MessageId, UserId, job, message};
use futures_util::future::join_all;
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::ChatSettings,
    error::{Error, Result},
    ports::{
        cache::Cache,
        model::LanguageModel,
        reply_log::ReplyLog,
        signals::{Signals, Topic},
    },
    store::{Db, jobs::Claim, messages},
};

pub use crate::ports::reply_log::Cursor;
pub use account::AccountState;
pub use attempt::{CancelTokens, JOB_KIND as REPLY_JOB_KIND};
pub use chatroom_events::{ChatroomChange, ChatroomEvent};
pub use chatrooms::{ChatroomUpdate, NewChatroom};
pub use input::{Content, IdempotencyKey, SystemInstruction, Title};
pub use quota::DailyUsage;
pub use send::Sent;
pub use subscribe::{ReplyEvent, end_cursor};

/// The dependencies and settings of the chat use cases.
#[derive(Clone)]
pub struct Chat {
    pub db: Db,
    /// Runs the buffered streams of replies that chatroom subscriptions merge.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub log: Arc<dyn ReplyLog>,
    pub signals: Arc<dyn Signals>,
    pub cache: Arc<dyn Cache>,
    pub model: Arc<dyn LanguageModel>,
    pub settings: ChatSettings,
    /// Whether users can subscribe to Pro.
    pub is_billing_configured: bool,
    /// Token budget of a prompt's history.
    pub history_tokens: usize,
    pub timing: Timing,
}

/// Intervals without a setting.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two saves of a reply's text so far.
    pub save_every: Duration,
    /// Before the second try of a model call; doubled for each further one.
    pub first_backoff: Duration,
    /// How long a subscriber waits for an update of the log before it reads the row: a killed process publishes no end.
    pub poll_every: Duration,
    /// How long a subscriber waits after a failed read.
    pub read_retry_delay: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            save_every: Duration::from_secs(2),
            first_backoff: Duration::from_secs(1),
            poll_every: Duration::from_secs(5),
            read_retry_delay: Duration::from_secs(1),
        }
    }
}

/// The claim under which a job's worker writes.
fn claim(job: &job::Model) -> Claim {
    Claim { job: job.id, attempt: job.attempt }
}

impl Chat {
    /// The user's message.
    pub async fn message(&self, user: UserId, id: MessageId) -> Result<Option<message::Model>> {
        Ok(messages::owned_by(self.db.read(), user, id).await?)
    }

    async fn owned_message(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        self.message(user, id).await?.ok_or(Error::NotFound("message"))
    }

    /// A subscriber's read. None after an internal error and a delay: the subscriber then retries.
    async fn with_retry<T>(&self, read: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        // Boxed: a subscriber mostly waits, so its future should not hold the space that a read needs.
        match Box::pin(read).await {
            Err(Error::Internal(cause)) => {
                tracing::warn!(cause = format!("{cause:#}"), "subscription read failed; retrying");
                tokio::time::sleep(self.timing.read_retry_delay).await;
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// The user's message, which must be a reply.
    async fn owned_reply(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        let message = self.owned_message(user, id).await?;
        if message.role == message::Role::Model {
            Ok(message)
        } else {
            Err(Error::bad_input(
                "messageId",
                "messageId must be the id of a reply; this message was sent by the user.",
            ))
        }
    }

    /// Notifies a reply's subscribers that it has ended or was deleted, and lets its log expire.
    async fn end_log(&self, reply: MessageId) {
        if let Err(unavailable) = self.log.end(reply).await {
            tracing::debug!(%reply, error = %unavailable, "publishing the reply's end failed");
        }
    }

    /// Publishes signals after a commit. A lost signal delays its subscribers until they poll.
    async fn publish(&self, topics: &[Topic]) {
        join_all(topics.iter().map(async |&topic| {
            if let Err(unavailable) = self.signals.publish(topic).await {
                tracing::debug!(?topic, error = %unavailable, "publishing a signal failed");
            }
        }))
        .await;
    }
}
