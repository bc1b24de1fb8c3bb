//! Sending a message. One transaction holds everything it causes, so that no second write can be lost.

use entity::{ChatroomId, MessageId, UserId, idempotency_key, message};
use ring::digest;

use super::{
    Chatrooms, Content, DailyUsage, IdempotencyKey,
    branch::{self, Position},
};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, idempotency, messages, users},
};

/// A stored message and its queued reply.
pub struct Sent {
    pub message: message::Model,
    pub reply: message::Model,
    pub usage: DailyUsage,
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
    ) -> Result<Sent> {
        self.db.with_retry(|| self.send_once(user, chatroom, content.clone(), key.clone())).await
    }

    async fn send_once(
        &self,
        user: UserId,
        chatroom: ChatroomId,
        content: Content,
        key: Option<IdempotencyKey>,
    ) -> Result<Sent> {
        let reply_id = MessageId::generate();
        let tx = self.db.begin().await?;
        let now = self.clock.now();
        if let Some(key) = key {
            let key = idempotency_key::Model {
                user_id: user,
                key: key.into(),
                fingerprint: fingerprint(chatroom, &content),
                reply_id,
                created_at: now,
            };
            if let Some(first) = idempotency::claim(&tx, &key).await? {
                drop(tx);
                return self.first_result(user, &key, &first).await;
            }
        }
        let chatroom = chatrooms::advance_owned_by(&tx, user, chatroom, now)
            .await?
            .ok_or(Error::NotFound("chatroom"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        let position = Position::after(branches::tail(&tx, chatroom.id).await?.as_ref());
        let message = branch::message(&chatroom, &position, content.into(), now);
        messages::insert(&tx, &message).await?;
        let reply = branch::queue_reply(&tx, &chatroom, &message, reply_id, now).await?;
        users::bump_rooms_version(&tx, user).await?;
        commit(tx).await?;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.id.0,
            message_id = %message.id.0,
            reply_id = %reply.id.0,
            "message accepted"
        );
        publish(&*self.signals, &[Topic::Jobs, Topic::Chatroom(chatroom.id), Topic::Account(user)]).await;
        Ok(Sent { message, reply, usage })
    }

    async fn first_result(
        &self,
        user: UserId,
        key: &idempotency_key::Model,
        first: &idempotency_key::Model,
    ) -> Result<Sent> {
        if key.fingerprint != first.fingerprint {
            let problem = format!("idempotencyKey {} was used for another message.", key.key);
            return Err(Error::Conflict(problem));
        }
        let reply = self.replies.owned_message(user, first.reply_id).await?;
        let message =
            self.replies.owned_message(user, reply.parent_id.ok_or(Error::NotFound("message"))?).await?;
        Ok(Sent { message, reply, usage: self.quota.usage(self.db.read(), user).await? })
    }
}

fn fingerprint(chatroom: ChatroomId, content: &Content) -> Vec<u8> {
    let request = [chatroom.0.as_bytes().as_slice(), content.as_str().as_bytes()].concat();
    digest::digest(&digest::SHA256, &request).as_ref().to_vec()
}
