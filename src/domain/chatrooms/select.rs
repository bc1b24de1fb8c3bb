//! Selecting another version of a message, with the branch below it.

use entity::{MessageId, UserId, chatroom};

use super::Chatrooms;
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, messages},
};

impl Chatrooms {
    /// Makes a version of a message active, with the branch below it to which a message was added last. If the version is active
    /// already, nothing changes.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn select(&self, user: UserId, version: MessageId) -> Result<chatroom::Model> {
        let chatroom = self.db.with_retry(|| self.select_once(user, version)).await?;
        publish(&*self.signals, &[Topic::Chatroom(chatroom.id), Topic::Chatrooms(user)]).await;
        Ok(chatroom)
    }

    async fn select_once(&self, user: UserId, version: MessageId) -> Result<chatroom::Model> {
        const ABSENT: Error = Error::NotFound("message");
        let chatroom_id = self.replies.owned_message(user, version).await?.chatroom_id;
        let tx = self.db.begin().await?;
        let chatroom = chatrooms::increment_version(&tx, chatroom_id).await?.ok_or(ABSENT)?;
        // The first read was before the transaction locked the chatroom, so the version may have become active since.
        if messages::owned_by(&tx, user, version).await?.ok_or(ABSENT)?.active {
            tx.rollback().await?;
            return self.chatroom(user, chatroom.id).await?.ok_or(ABSENT);
        }
        let leaf = branches::newest_leaf(&tx, version).await?.ok_or(ABSENT)?;
        branches::switch_to(&tx, chatroom.id, Some(leaf), chatroom.version).await?;
        commit(tx).await?;
        Ok(chatroom)
    }
}
