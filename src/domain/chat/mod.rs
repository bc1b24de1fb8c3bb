//! Chatrooms, messages and replies.
//!
//! ```text
//!  send ──► one transaction: message, QUEUED reply, job, quota, idempotency key ──► hints: jobs, room, account
//!                                                │
//!  a worker claims the job ──► reply::write ──► the reply's log (live) and its row (the truth)
//!                                                │                │
//!                              watch: attach, then read, then live; the row says how it ended
//! ```

mod account;
mod changes;
mod history;
mod input;
mod outcome;
mod paced;
mod path;
mod quota;
mod regenerate;
pub mod reply;
mod rooms;
mod send;
mod stop;
mod watch;

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
        model::Model,
        reply_log::ReplyLog,
        signals::{Signals, Topic},
    },
    store::{Db, jobs::Claim, messages},
};

pub use crate::ports::reply_log::Cursor;
pub use account::Account;
pub use changes::{RoomChange, RoomEvent};
pub use input::{Content, IdempotencyKey, SystemInstruction, Title};
pub use quota::Usage;
pub use rooms::{NewRoom, RoomChanges};
pub use send::Sent;
pub use watch::{ReplyEvent, end_of};

/// What the use cases of chatting work with.
#[derive(Clone)]
pub struct Chat {
    pub db: Db,
    /// What is followed on behalf of others runs here, so that its pace is not theirs.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub log: Arc<dyn ReplyLog>,
    pub signals: Arc<dyn Signals>,
    pub cache: Arc<dyn Cache>,
    pub model: Arc<dyn Model>,
    pub settings: ChatSettings,
    /// Whether users can buy more prompts.
    pub is_billing_configured: bool,
    /// How much of a conversation goes to the model.
    pub history_tokens: usize,
    pub pace: Pace,
}

/// How long things take that nobody sets.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two saves of a reply's text so far.
    pub save_every: Duration,
    /// Before the second attempt at a reply; doubled for each one after.
    pub first_retry_after: Duration,
    /// How long a subscriber that hears nothing waits before it looks at the row: for the announcement that a killed
    /// process could not make.
    pub look_every: Duration,
    /// How long a subscriber waits after a read that failed.
    pub look_again_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            save_every: Duration::from_secs(2),
            first_retry_after: Duration::from_secs(1),
            look_every: Duration::from_secs(5),
            look_again_after: Duration::from_secs(1),
        }
    }
}

/// What a job's worker writes by.
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

    /// What a follower reads; none after a fault of ours, which it waits out for a moment and then reads again.
    async fn wait_out<T>(&self, read: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        // A follower mostly waits: what it needs to read it has only while it reads.
        match Box::pin(read).await {
            Err(Error::Internal(cause)) => {
                tracing::warn!(cause = format!("{cause:#}"), "a follower waits for the database");
                tokio::time::sleep(self.pace.look_again_after).await;
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// The user's message that is a reply.
    async fn owned_reply(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        let message = self.owned_message(user, id).await?;
        if message.role == message::Role::Model {
            Ok(message)
        } else {
            Err(Error::bad_input("messageId", "messageId must be of a reply; this message was sent by you."))
        }
    }

    /// Tells a reply's followers that it has ended or is gone, and lets its log expire.
    async fn end_log(&self, reply: MessageId) {
        if let Err(unavailable) = self.log.end(reply).await {
            tracing::debug!(%reply, error = %unavailable, "a reply's end was not announced");
        }
    }

    /// Sends hints after a commit. One that is lost delays its listeners until they look by themselves.
    async fn tell(&self, topics: &[Topic]) {
        join_all(topics.iter().map(async |&topic| {
            if let Err(unavailable) = self.signals.send(topic).await {
                tracing::debug!(?topic, error = %unavailable, "a hint was not sent");
            }
        }))
        .await;
    }
}
