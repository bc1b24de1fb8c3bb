//! Rating a reply.

use entity::{MessageId, UserId, message};

use super::Chatrooms;
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{chatrooms, commit, messages},
};

impl Chatrooms {
    /// Stores the user's feedback on a reply; `None` removes it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadInput`] if the message is not a reply, and [`Error::Conflict`] if it has not ended.
    pub async fn rate(
        &self,
        user: UserId,
        reply: MessageId,
        feedback: Option<message::Feedback>,
    ) -> Result<message::Model> {
        let rated = self.db.with_retry(|| self.rate_once(user, reply, feedback)).await?;
        publish(&*self.signals, &[Topic::Chatroom(rated.chatroom_id), Topic::Chatrooms(user)]).await;
        Ok(rated)
    }

    async fn rate_once(
        &self,
        user: UserId,
        reply: MessageId,
        feedback: Option<message::Feedback>,
    ) -> Result<message::Model> {
        let chatroom_id = self.replies.owned_reply(user, reply).await?.chatroom_id;
        let tx = self.db.begin().await?;
        let chatroom = chatrooms::increment_version(&tx, chatroom_id).await?;
        let chatroom = chatroom.ok_or(Error::NotFound("message"))?;
        let rated = messages::rate(&tx, reply, feedback, chatroom.version).await?;
        let rated = rated.ok_or_else(|| {
            Error::Conflict("The reply is still being written: rate it when it has ended.".to_owned())
        })?;
        commit(tx).await?;
        Ok(rated)
    }
}
