//! Sends a message. The message and everything that it causes, such as the queued reply and its job, are written in one
//! transaction: either all of it is stored or nothing.

use entity::{ChatroomId, MessageId, UserId, message};

use super::{
    Chatrooms, Content, IdempotencyKey,
    branch::{self, Position},
    idempotency::{Request, store_key_or_find_result},
};
use crate::{
    domain::{billing::tiers::Tier, publish::publish, quota::PromptBudget, replies},
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        branches, chatrooms, commit, messages,
        sending::{self, NewMessage, StoreResult, Stored},
        users,
    },
};

/// A stored message and its queued reply.
pub struct MessageAndReply {
    pub message: message::Model,
    pub reply: message::Model,
    /// The user's prompts of the day, including this one.
    pub usage: PromptBudget,
    /// Whether the message that this one follows is a reply that is not finished. The new job waits for it then.
    pub(super) waits_for_earlier_reply: bool,
}

/// The result of a transaction that stores a message.
enum SendResult {
    /// The message was stored. The number is the new version of the user's list of chatrooms.
    New(Box<MessageAndReply>, i64),
    /// An earlier call with this idempotency key, or an earlier try of this call, has stored this reply.
    Repeated(MessageId),
}

impl Chatrooms {
    /// Stores the message and queues its reply. A repeated idempotency key returns the first result and uses no quota.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a chatroom that is not the user's, [`Error::QuotaExceeded`], [`Error::Conflict`] for a key
    /// that was used for another message.
    pub async fn send(
        &self,
        user: UserId,
        chatroom: ChatroomId,
        content: Content,
        key: Option<IdempotencyKey>,
    ) -> Result<MessageAndReply> {
        let (reply, now) = (MessageId::generate(), self.clock.now());
        // The operation is empty, because fingerprints of `sendMessage` contain no name.
        let request = Request { operation: "", parts: &[chatroom.0.as_bytes(), content.as_str().as_bytes()] };
        let key = key.map(|key| request.key_row(user, key, reply.0, now));
        let new = NewMessage {
            user,
            chatroom,
            message: MessageId::generate(),
            reply,
            job_kind: replies::JOB_KIND,
            content: content.as_str(),
            key: key.as_ref(),
            limits: self.quota.limits,
            period: self.quota.calendar.period(now),
            now,
        };
        let sent = match self.db.with_retry(|| self.store(&new)).await? {
            SendResult::New(sent, version) => {
                self.cache_list_version(user, version).await;
                *sent
            }
            SendResult::Repeated(reply) => return self.load_earlier_result(user, reply).await,
        };
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.0,
            message_id = %sent.message.id.0,
            reply_id = %sent.reply.id.0,
            "message accepted"
        );
        let mut topics = vec![Topic::Chatroom(chatroom), Topic::Chatrooms(user), Topic::Account(user)];
        // While an earlier reply is unfinished, the job cannot be claimed. The worker that ends that reply looks for the next
        // job, so it needs no signal.
        if !sent.waits_for_earlier_reply {
            topics.push(Topic::Jobs);
        }
        publish(&*self.signals, &topics).await;
        Ok(sent)
    }

    /// Stores the message at once, or step by step if that stores nothing.
    async fn store(&self, new: &NewMessage<'_>) -> Result<SendResult> {
        let stored = match sending::store(&self.db, *new).await? {
            StoreResult::New(stored) => stored,
            StoreResult::StoredEarlier => return Ok(SendResult::Repeated(new.reply)),
            StoreResult::NotStored => return self.store_in_steps(new).await,
        };
        let Stored { version, parent_id, depth, used, is_pro, waits_for_earlier_reply, list_version } =
            stored;
        let NewMessage { user, chatroom, now, .. } = *new;
        let position = Position { user, chatroom, version, parent: parent_id, depth };
        let message = branch::new_user_message(new.message, position, new.content.to_owned(), now);
        let reply_position = Position { parent: Some(message.id), depth: depth + 1, ..position };
        let reply = branch::new_reply(new.reply, reply_position, now);
        let tier = Tier::of(is_pro);
        let usage = self.quota.prompt_budget(tier, used);
        Ok(SendResult::New(
            Box::new(MessageAndReply { message, reply, usage, waits_for_earlier_reply }),
            list_version,
        ))
    }

    /// Does step by step what [`sending::store`] does at once. It runs if [`sending::store`] has stored nothing, because the key
    /// was used before, another call changed the chatroom meanwhile, or the message is rejected. In the last case, the step that
    /// rejects the message returns the error.
    async fn store_in_steps(&self, new: &NewMessage<'_>) -> Result<SendResult> {
        let NewMessage { user, now, .. } = *new;
        let tx = self.db.begin().await?;
        if let Some(reply) = store_key_or_find_result(&tx, new.key).await? {
            return Ok(SendResult::Repeated(MessageId(reply)));
        }
        let chatroom = chatrooms::increment_version_if_owned_by(&tx, user, new.chatroom, Some(now))
            .await?
            .ok_or(Error::NotFound("chatroom"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        let tail = branches::tail(&tx, chatroom.id).await?;
        let waits_for_earlier_reply = tail.as_ref().is_some_and(|tail| !tail.status.is_final());
        let position = Position::after(&chatroom, tail.as_ref());
        let message = branch::new_user_message(new.message, position, new.content.to_owned(), now);
        messages::insert(&tx, &message).await?;
        let reply = branch::queue_reply(&tx, &chatroom, &message, new.reply, now).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        Ok(SendResult::New(
            Box::new(MessageAndReply { message, reply, usage, waits_for_earlier_reply }),
            list_version,
        ))
    }

    /// Loads the message and the reply that were stored by an earlier request with the same idempotency key, or by an earlier try
    /// of this request.
    pub(super) async fn load_earlier_result(
        &self,
        user: UserId,
        reply: MessageId,
    ) -> Result<MessageAndReply> {
        let reply = self.replies.owned_message(user, reply).await?;
        let message =
            self.replies.owned_message(user, reply.parent_id.ok_or(Error::NotFound("message"))?).await?;
        self.recache_list_version(user).await?;
        let usage = self.quota.usage(self.db.read(), user).await?;
        // Nothing new was queued, so no caller reads `waits_for_earlier_reply`.
        Ok(MessageAndReply { message, reply, usage, waits_for_earlier_reply: true })
    }
}
