//! Regenerating: a new reply to the same message.

use entity::{MessageId, UserId, idempotency_key};

use super::{
    Chatrooms, IdempotencyKey, MessageAndReply, branch,
    idempotency::{Idempotent, Request, store_key_or_find_result},
};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, messages, users},
};

impl Chatrooms {
    /// Queues a new reply that replaces a reply that has ended. The old reply and the messages after it stay as an inactive
    /// branch.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::QuotaExceeded`], [`Error::BadInput`] if `old_id` is not a reply, and [`Error::Conflict`]
    /// if the old reply has not ended or is not on the active branch, or the key was used for another request.
    pub async fn regenerate(
        &self,
        user: UserId,
        old_id: MessageId,
        key: Option<IdempotencyKey>,
    ) -> Result<MessageAndReply> {
        let new_id = MessageId::generate();
        let request = Request { operation: "regenerateReply", parts: &[old_id.0.as_bytes()] };
        let key_row = key.map(|key| request.key_row(user, key, new_id.0, self.clock.now()));
        match self.db.with_retry(|| self.regenerate_once(user, old_id, new_id, key_row.as_ref())).await? {
            Idempotent::New(queued) => Ok(queued),
            Idempotent::Repeated(reply_id) => self.load_earlier_result(user, MessageId(reply_id)).await,
        }
    }

    async fn regenerate_once(
        &self,
        user: UserId,
        old_id: MessageId,
        new_id: MessageId,
        key: Option<&idempotency_key::Model>,
    ) -> Result<Idempotent<MessageAndReply>> {
        let chatroom_id = self.replies.owned_reply(user, old_id).await?.chatroom_id;
        let tx = self.db.begin().await?;
        if let Some(reply_id) = store_key_or_find_result(&tx, key).await? {
            return Ok(Idempotent::Repeated(reply_id));
        }
        let now = self.clock.now();
        // `Some(now)` sets `updated_at`, by which the user's chatrooms are sorted.
        let chatroom = chatrooms::increment_version_if_owned_by(&tx, user, chatroom_id, Some(now))
            .await?
            // The chatroom was deleted since the reply was read, and the reply with it.
            .ok_or(Error::NotFound("message"))?;
        // The chatroom is locked only now, so the reply may have changed since it was read.
        let old = messages::owned_by(&tx, user, old_id).await?.ok_or(Error::NotFound("message"))?;
        if !old.status.is_final() {
            return Err(Error::Conflict("The reply is still being written: stop it first.".to_owned()));
        }
        if !old.active {
            let problem =
                "This reply is not on the chatroom's active branch. Regenerate the reply that is on it.";
            return Err(Error::Conflict(problem.to_owned()));
        }
        let parent_id = old.parent_id.ok_or(Error::NotFound("message"))?;
        let user_message =
            messages::owned_by(&tx, user, parent_id).await?.ok_or(Error::NotFound("message"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        // The old reply, and the messages after it.
        branches::deactivate_from(&tx, chatroom.id, old.depth, chatroom.version).await?;
        let new = branch::queue_reply(&tx, &chatroom, &user_message, new_id, now).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        self.cache_list_version(user, list_version).await;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.id.0,
            message_id = %user_message.id.0,
            reply_id = %new.id.0,
            "regeneration accepted"
        );
        let topics =
            [Topic::Jobs, Topic::Chatroom(chatroom.id), Topic::Chatrooms(user), Topic::Account(user)];
        publish(&*self.signals, &topics).await;
        // Only `send` reads `waits_for_earlier_reply`, to decide whether to signal the queue. Here the queue is always signalled.
        Ok(Idempotent::New(MessageAndReply {
            message: user_message,
            reply: new,
            usage,
            waits_for_earlier_reply: false,
        }))
    }
}
