//! Stopping a reply, before its first token or after, from any node.

use std::time::Duration;

use entity::{MessageId, UserId, job, message};
use futures_util::StreamExt;
use message::Status;
use sea_orm::ConnectionTrait;

use super::{Chat, Cursor, reply};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{chatrooms, jobs, messages, replies},
};

/// How long the caller waits for the worker to let go; after that the stop is still on its way.
const PATIENCE: Duration = Duration::from_secs(5);

impl Chat {
    /// Stops a reply and keeps the text so far. One that has ended already stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::BadInput`] if the message is no reply.
    pub async fn stop(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        let reply = self.owned_reply(user, id).await?;
        let mut hints =
            self.signals.listen(Topic::Room(reply.chatroom_id)).await.map_err(anyhow::Error::new)?;
        let shown = self.text_in_log(id).await;
        let tx = self.db.begin().await?;
        let version = chatrooms::advance(&tx, reply.chatroom_id).await?.ok_or(Error::NotFound("message"))?;
        let Some(job) = jobs::request_stop(&tx, id).await? else {
            tx.rollback().await?;
            return self.owned_message(user, id).await;
        };
        if job.leased_until.is_none_or(|until| until <= self.clock.now()) {
            // Nobody writes it: it ends here.
            let row = messages::owned_by(&tx, user, id).await?.ok_or(Error::NotFound("message"))?;
            self.cancel(&tx, &row, &job, version, shown).await?;
            tx.commit().await?;
            self.tell_ended(&row).await;
            return self.owned_message(user, id).await;
        }
        tx.commit().await?;
        self.tell(&[Topic::Stop(id)]).await;
        let ended = async {
            loop {
                let row = self.owned_message(user, id).await?;
                if row.status.is_final() || hints.next().await.is_none() {
                    return Ok(row);
                }
            }
        };
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(row) => row,
            Err(_) => self.owned_message(user, id).await,
        }
    }

    /// Ends a reply that no worker writes, with the text that its subscribers have seen.
    pub(super) async fn cancel(
        &self,
        tx: &impl ConnectionTrait,
        row: &message::Model,
        job: &job::Model,
        version: i64,
        shown: (u32, String),
    ) -> Result<()> {
        let (attempt, text) = shown;
        let in_log = i64::from(attempt) == i64::from(row.attempt) && text.len() > row.content.len();
        let end = replies::End {
            status: Status::Cancelled,
            content: if in_log { text } else { row.content.clone() },
            failure: None,
            model: row.model.clone(),
            finish_reason: None,
            tokens: None,
            at: self.clock.now(),
        };
        let attempt = replies::Attempt { reply: row.id, number: row.attempt };
        replies::end(tx, attempt, version, end).await?;
        jobs::done(tx, reply::claim(job)).await?;
        Ok(())
    }

    /// The latest attempt's number and text in the log; 0 and nothing where the log is empty or does not answer.
    pub(super) async fn text_in_log(&self, id: MessageId) -> (u32, String) {
        let entries = self.log.read(id, Cursor::default()).await.unwrap_or_default();
        let attempt = entries.last().map_or(0, |last| last.end.attempt);
        let text = entries
            .into_iter()
            .filter(|entry| entry.end.attempt == attempt)
            .map(|entry| entry.text)
            .collect();
        (attempt, text)
    }

    /// Hints after a reply's end was committed.
    pub(super) async fn tell_ended(&self, reply: &message::Model) {
        if let Err(unavailable) = self.log.end(reply.id).await {
            tracing::warn!(reply = %reply.id, error = %unavailable, "a reply's end was not announced");
        }
        self.tell(&[Topic::Room(reply.chatroom_id), Topic::Account(reply.user_id), Topic::Jobs]).await;
    }
}
