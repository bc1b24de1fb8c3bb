//! Editing: a new version of one of the user's messages, with a reply of its own.

use entity::{ChatroomId, MessageId, UserId, idempotency_key, message};

use super::{
    Chatrooms, Content, IdempotencyKey, Sent,
    branch::{self, Position},
    first_result::{Idempotent, Request, first_result},
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
    chatroom: ChatroomId,
    edited: MessageId,
    content: &'a Content,
    reply: MessageId,
    key: Option<idempotency_key::Model>,
}

impl Chatrooms {
    /// Stores another version of a message that the user has sent, makes it active and queues its reply. The edited version and
    /// the messages after it stay as an inactive branch; it may be inactive itself, so that of two edits at once both are stored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::QuotaExceeded`], [`Error::BadInput`] if the message is a reply, and
    /// [`Error::Conflict`] for a key that was used for another request.
    pub async fn edit(
        &self,
        user: UserId,
        edited: MessageId,
        content: Content,
        key: Option<IdempotencyKey>,
    ) -> Result<Sent> {
        let message = self.replies.owned_message(user, edited).await?;
        if message.role != message::Role::User {
            let problem = "messageId must be the id of a message that you sent; this one is a reply.";
            return Err(Error::bad_input("messageId", problem));
        }
        let parts = [edited.0.as_bytes().as_slice(), content.as_str().as_bytes()];
        let request = Request { operation: "editMessage", parts: &parts };
        let reply = MessageId::generate();
        let key = key.map(|key| request.key(user, key, reply.0, self.clock.now()));
        let edit = Edit { user, chatroom: message.chatroom_id, edited, content: &content, reply, key };
        match self.db.with_retry(|| self.edit_once(&edit)).await? {
            Idempotent::New(sent) => {
                let chatroom = Topic::Chatroom(edit.chatroom);
                let topics = [Topic::Jobs, chatroom, Topic::Chatrooms(user), Topic::Account(user)];
                publish(&*self.signals, &topics).await;
                Ok(sent)
            }
            Idempotent::Repeated(reply) => self.sent_before(user, MessageId(reply)).await,
        }
    }

    async fn edit_once(&self, edit: &Edit<'_>) -> Result<Idempotent<Sent>> {
        let Edit { user, chatroom, edited, .. } = *edit;
        let tx = self.db.begin().await?;
        if let Some(reply) = first_result(&tx, edit.key.as_ref()).await? {
            return Ok(Idempotent::Repeated(reply));
        }
        let now = self.clock.now();
        let chatroom = chatrooms::increment_version_if_owned_by(&tx, user, chatroom, Some(now))
            .await?
            .ok_or(Error::NotFound("message"))?;
        let edited = messages::owned_by(&tx, user, edited).await?.ok_or(Error::NotFound("message"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        branches::switch_to(&tx, chatroom.id, edited.parent_id, chatroom.version).await?;
        let position = Position { parent: edited.parent_id, depth: edited.depth };
        let message = branch::message(&chatroom, &position, edit.content.as_str().to_owned(), now);
        messages::insert(&tx, &message).await?;
        let reply = branch::queue_reply(&tx, &chatroom, &message, edit.reply, now).await?;
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
        Ok(Idempotent::New(Sent { message, reply, usage, is_behind_unfinished: false }))
    }
}
