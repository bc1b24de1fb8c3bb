//! Another reply to the same message.

use entity::{MessageId, UserId};

use super::{Chat, Sent, path};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, messages, users},
};

impl Chat {
    /// Queues a new reply in place of a finished, failed or stopped one. What followed the old one stays on its branch.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::QuotaExceeded`], and [`Error::Conflict`] while the old reply is being written.
    pub async fn regenerate(&self, user: UserId, reply: MessageId) -> Result<Sent> {
        self.db.with_retry(|| self.regenerate_once(user, reply)).await
    }

    async fn regenerate_once(&self, user: UserId, reply: MessageId) -> Result<Sent> {
        let room = self.owned_reply(user, reply).await?.chatroom_id;
        let tx = self.db.begin().await?;
        let now = self.clock.now();
        let room =
            chatrooms::advance_owned_by(&tx, user, room, now).await?.ok_or(Error::NotFound("message"))?;
        // Read again under the room's lock.
        let old = messages::owned_by(&tx, user, reply).await?.ok_or(Error::NotFound("message"))?;
        if !old.status.is_final() {
            return Err(Error::Conflict("The reply is still being written: stop it first.".to_owned()));
        }
        if !old.active {
            let problem = "The room goes on from another version of this reply: regenerate that one.";
            return Err(Error::Conflict(problem.to_owned()));
        }
        let asked = old.parent_id.ok_or(Error::NotFound("message"))?;
        let asked = messages::owned_by(&tx, user, asked).await?.ok_or(Error::NotFound("message"))?;
        let usage = self.reserve(&tx, user, now).await?;
        branches::truncate(&tx, room.id, old.depth, room.version).await?;
        let new = path::queue_reply(&tx, &room, &asked, MessageId::generate(), now).await?;
        users::bump_rooms_version(&tx, user).await?;
        commit(tx).await?;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %room.id.0,
            message_id = %asked.id.0,
            reply_id = %new.id.0,
            "another reply accepted"
        );
        self.tell(&[Topic::Jobs, Topic::Room(room.id), Topic::Account(user)]).await;
        Ok(Sent { message: asked, reply: new, usage })
    }
}
