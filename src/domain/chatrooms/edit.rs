//! Editing: a new version of one of the user's messages, with a reply of its own.

use entity::{ChatroomId, MessageId, UserId, idempotency_key, message};

use super::{
    Chatrooms, Content, IdempotencyKey, MessageAndReply,
    branch::{self, Position},
    idempotency::{Idempotent, Request, store_key_or_find_result},
};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, messages, users},
};

/// A new version of a message, to be stored.
struct Edit<'a> {
    user: UserId,
    chatroom_id: ChatroomId,
    edited_id: MessageId,
    content: &'a Content,
    reply_id: MessageId,
    key: Option<idempotency_key::Model>,
}

impl Chatrooms {
    /// Stores another version of a message that the user has sent, makes it active and queues its reply. The edited version and
    /// the messages after it stay as an inactive branch. The edited version may be inactive already: if two clients edit a
    /// message at the same time, both new versions are stored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::QuotaExceeded`], [`Error::BadInput`] if the message is a reply, and
    /// [`Error::Conflict`] for a key that was used for another request.
    pub async fn edit(
        &self,
        user: UserId,
        edited_id: MessageId,
        content: Content,
        key: Option<IdempotencyKey>,
    ) -> Result<MessageAndReply> {
        let message = self.replies.owned_message(user, edited_id).await?;
        if message.role != message::Role::User {
            let problem = "messageId must be the id of a message that you sent; this one is a reply.";
            return Err(Error::bad_input("messageId", problem));
        }
        let parts = [edited_id.0.as_bytes().as_slice(), content.as_str().as_bytes()];
        let request = Request { operation: "editMessage", parts: &parts };
        let reply_id = MessageId::generate();
        let key = key.map(|key| request.key_row(user, key, reply_id.0, self.clock.now()));
        let edit =
            Edit { user, chatroom_id: message.chatroom_id, edited_id, content: &content, reply_id, key };
        match self.db.with_retry(|| self.edit_once(&edit)).await? {
            Idempotent::New(stored) => {
                let chatroom = Topic::Chatroom(edit.chatroom_id);
                let topics = [Topic::Jobs, chatroom, Topic::Chatrooms(user), Topic::Account(user)];
                publish(&*self.signals, &topics).await;
                Ok(stored)
            }
            Idempotent::Repeated(reply_id) => self.load_earlier_result(user, MessageId(reply_id)).await,
        }
    }

    async fn edit_once(&self, edit: &Edit<'_>) -> Result<Idempotent<MessageAndReply>> {
        let Edit { user, chatroom_id, edited_id, .. } = *edit;
        let tx = self.db.begin().await?;
        if let Some(reply_id) = store_key_or_find_result(&tx, edit.key.as_ref()).await? {
            return Ok(Idempotent::Repeated(reply_id));
        }
        let now = self.clock.now();
        let chatroom = chatrooms::increment_version_if_owned_by(&tx, user, chatroom_id, Some(now))
            .await?
            .ok_or(Error::NotFound("message"))?;
        let edited = messages::owned_by(&tx, user, edited_id).await?.ok_or(Error::NotFound("message"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        branches::switch_to(&tx, chatroom.id, edited.parent_id, chatroom.version).await?;
        let position =
            Position { parent: edited.parent_id, depth: edited.depth, ..Position::after(&chatroom, None) };
        let content = edit.content.as_str().to_owned();
        let message = branch::new_user_message(MessageId::generate(), position, content, now);
        messages::insert(&tx, &message).await?;
        let reply = branch::queue_reply(&tx, &chatroom, &message, edit.reply_id, now).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        self.cache_list_version(user, list_version).await;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.id.0,
            edited_message_id = %edited.id.0,
            message_id = %message.id.0,
            reply_id = %reply.id.0,
            "edit accepted"
        );
        // Only `send` reads `waits_for_earlier_reply`, to decide whether to signal the queue. `edit` always signals it.
        Ok(Idempotent::New(MessageAndReply { message, reply, usage, waits_for_earlier_reply: false }))
    }
}
