//! Stopping a reply from any node, before or after its first token.

use std::time::Duration;

use entity::{MessageId, UserId, message};
use futures_util::StreamExt;

use super::{
    Replies,
    attempt_result::{self, AttemptOutput},
};
use crate::{domain::publish::publish, error::Result, ports::signals::Topic, store::jobs};

/// How long the caller waits for the worker to end the reply. After that, the stop request is still stored.
const WAIT_FOR_WORKER: Duration = Duration::from_secs(5);

impl Replies {
    /// Stops a reply and keeps the text so far. A reply that has ended is returned unchanged.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Error::NotFound), or [`BadInput`](crate::error::Error::BadInput) if the message is not
    /// a reply.
    pub async fn stop(&self, user: UserId, id: MessageId) -> Result<message::Model> {
        let reply = self.owned_reply(user, id).await?;
        let mut signals = self.signals.subscribe(Topic::Chatroom(reply.chatroom_id)).await;
        let job = self.db.with_retry(|| async { Ok(jobs::request_stop(self.db.write(), id).await?) }).await?;
        let Some(job) = job else {
            return self.owned_message(user, id).await;
        };
        if job.leased_until.is_none_or(|until| until <= self.clock.now()) {
            // No worker is writing the reply, so end it here. A worker that claims the job in the meantime finds the stop
            // request.
            let text = self.text_so_far(&reply).await;
            let end = attempt_result::build_end(
                message::Status::Cancelled,
                AttemptOutput::text(&text),
                self.clock.now(),
            );
            self.end_reply(&reply, &job, end, None).await?;
        } else {
            publish(&*self.signals, &[Topic::Stops]).await;
        }
        let wait_for_end = async {
            loop {
                let row = self.owned_message(user, id).await?;
                if row.status.is_final() || signals.next().await.is_none() {
                    return Ok(row);
                }
            }
        };
        match tokio::time::timeout(WAIT_FOR_WORKER, wait_for_end).await {
            Ok(row) => row,
            Err(_) => self.owned_message(user, id).await,
        }
    }
}
