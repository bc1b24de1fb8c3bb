//! Stopping a reply, before its first token or after, from any node.

use std::time::Duration;

use entity::{MessageId, UserId, message};
use futures_util::StreamExt;

use super::{
    Chat,
    outcome::{self, Written},
};
use crate::{error::Result, ports::signals::Topic, store::jobs};

/// How long the caller waits for the worker to let go; after that the stop is still on its way.
const PATIENCE: Duration = Duration::from_secs(5);

impl Chat {
    /// Stops a reply and keeps the text so far. One that has ended already stays as it is.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Error::NotFound), or [`BadInput`](crate::error::Error::BadInput) if the message is no
    /// reply.
    pub async fn stop(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        let reply = self.owned_reply(user, id).await?;
        let mut hints = self.signals.listen(Topic::Room(reply.chatroom_id)).await;
        let job = self.db.with_retry(|| async { Ok(jobs::request_stop(self.db.write(), id).await?) }).await?;
        let Some(job) = job else {
            return self.owned_message(user, id).await;
        };
        if job.leased_until.is_none_or(|until| until <= self.clock.now()) {
            // Nobody writes it, so it ends here; whoever claims it before that sees that it was to stop.
            let text = self.text_so_far(&reply).await;
            let end = outcome::end(message::Status::Cancelled, Written::text(&text), self.clock.now());
            self.end_reply(&reply, &job, end).await?;
        } else {
            self.tell(&[Topic::Stop(id)]).await;
        }
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
}
