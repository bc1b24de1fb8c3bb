//! Replies: writing the reply of a claimed job, streaming its text to every device, and stopping it. This module must not use
//! `chatrooms`, which queues the replies.
//!
//! ```text
//!  job ──► attempt: prompt ──► model ──► chunks ──► log entries ──► subscribe ──► reply events
//!             │                              ▲
//!             │                    stop ─────┘ cancels
//!             └──► attempt result ──► row: COMPLETED, CANCELLED, FAILED, or QUEUED for a retry
//! ```

mod attempt;
mod attempt_result;
mod history_cache;
mod prompt;
mod stop;
mod subscribe;
mod title_job;

use std::{sync::Arc, time::Duration};

use entity::{MessageId, UserId, message};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    domain::{models::Models, quota::Calendar},
    error::{Error, Result},
    ports::{reply_log::ReplyLog, signals::Signals},
    store::{Db, messages},
    telemetry::metrics::ReplyMetrics,
};

pub use crate::ports::reply_log::Cursor;
pub use attempt::{CancelTokens, JOB_KIND};
pub use history_cache::HistoryCache;
pub use subscribe::{ReplyEvent, end_cursor};
pub use title_job::TitleJob;

/// The use cases of a reply.
#[derive(Clone)]
pub struct Replies {
    pub db: Db,
    /// Runs the tasks of chatroom subscriptions: the buffered streams of replies that they merge, and the feeds that they share.
    pub tasks: TaskTracker,
    pub clock: Clock,
    pub log: Arc<dyn ReplyLog>,
    pub signals: Arc<dyn Signals>,
    pub models: Models,
    /// Token budget of a prompt's history.
    pub history_tokens: usize,
    pub history_cache: HistoryCache,
    /// Whether the model gives titles to chatrooms.
    pub titles: bool,
    /// The days on which replies are charged.
    pub calendar: Calendar,
    /// Whether tokens are limited, so that the end of every reply changes the user's remaining quota.
    pub has_token_budgets: bool,
    pub timing: Timing,
    pub metrics: ReplyMetrics,
}

/// Intervals that are not configurable.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two saves of a reply's text so far.
    pub save_every: Duration,
    /// The delay before the second try of a model call; doubled for each further one.
    pub first_backoff: Duration,
    /// How long a subscriber waits for an update of the log before it reads the row: a killed process publishes no end.
    pub poll_every: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            save_every: Duration::from_secs(2),
            first_backoff: Duration::from_secs(1),
            poll_every: Duration::from_secs(5),
        }
    }
}

impl Replies {
    /// The user's message.
    pub async fn message(&self, user: UserId, id: MessageId) -> Result<Option<message::Model>> {
        Ok(messages::owned_by(self.db.read(), user, id).await?)
    }

    pub(super) async fn owned_message(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        self.message(user, id).await?.ok_or(Error::NotFound("message"))
    }

    /// The user's message, which must be a reply.
    pub(super) async fn owned_reply(&self, user: UserId, id: MessageId) -> Result<message::Model> {
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
    pub(super) async fn end_log(&self, reply: MessageId) {
        if let Err(unavailable) = self.log.end(reply).await {
            tracing::debug!(message_id = %reply.0, error = %unavailable, "publishing the reply's end failed");
        }
    }
}
