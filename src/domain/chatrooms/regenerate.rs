//! Regenerating: a new reply to the same message.

use entity::{MessageId, UserId};

use super::{Chatrooms, Sent, branch};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, messages, users},
};

impl Chatrooms {
    /// Queues a new reply to replace an ended one. The old one and the messages after it stay as an inactive branch.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::QuotaExceeded`], [`Error::BadInput`] if the message is not a reply, and [`Error::Conflict`]
    /// if the old reply has not ended or is not on the active branch.
    pub async fn regenerate(&self, user: UserId, reply: MessageId) -> Result<Sent> {
        self.db.with_retry(|| self.regenerate_once(user, reply)).await
    }

    async fn regenerate_once(&self, user: UserId, reply: MessageId) -> Result<Sent> {
        let chatroom = self.replies.owned_reply(user, reply).await?.chatroom_id;
        let tx = self.db.begin().await?;
        let now = self.clock.now();
        let chatroom = chatrooms::increment_version_of_owned(&tx, user, chatroom, now)
            .await?
            .ok_or(Error::NotFound("message"))?;
        // Read again, now that the transaction has locked the chatroom.
        let old = messages::owned_by(&tx, user, reply).await?.ok_or(Error::NotFound("message"))?;
        if !old.status.is_final() {
            return Err(Error::Conflict("The reply is still being written: stop it first.".to_owned()));
        }
        if !old.active {
            let problem =
                "This reply is not on the chatroom's active branch: regenerate the version that is.";
            return Err(Error::Conflict(problem.to_owned()));
        }
        let question = old.parent_id.ok_or(Error::NotFound("message"))?;
        let question = messages::owned_by(&tx, user, question).await?.ok_or(Error::NotFound("message"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        branches::truncate(&tx, chatroom.id, old.depth, chatroom.version).await?;
        let new = branch::queue_reply(&tx, &chatroom, &question, MessageId::generate(), now).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        self.record_list_version(user, list_version).await;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.id.0,
            message_id = %question.id.0,
            reply_id = %new.id.0,
            "regeneration accepted"
        );
        publish(&*self.signals, &[Topic::Jobs, Topic::Chatroom(chatroom.id), Topic::Account(user)]).await;
        Ok(Sent { message: question, reply: new, usage, is_behind_unfinished: false })
    }
}
