//! Sending a message: everything it causes is in one transaction, so that there is no second write to lose.

use entity::{ChatroomId, MessageId, UserId, idempotency_key, message};
use ring::digest;

use super::{
    Chat, Content, IdempotencyKey, Usage,
    path::{self, Place},
};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{branches, chatrooms, commit, idempotency, messages, users},
};

/// A message and the reply that is on its way.
pub struct Sent {
    pub message: message::Model,
    pub reply: message::Model,
    pub usage: Usage,
}

impl Chat {
    /// Stores the message and queues its reply. The same key again returns the first result and uses no quota.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a room that is not the user's, [`Error::QuotaExceeded`], [`Error::Conflict`] for a key that
    /// was used for something else.
    pub async fn send(
        &self,
        user: UserId,
        room: ChatroomId,
        content: Content,
        key: Option<IdempotencyKey>,
    ) -> Result<Sent> {
        self.db.with_retry(|| self.send_once(user, room, content.clone(), key.clone())).await
    }

    async fn send_once(
        &self,
        user: UserId,
        room: ChatroomId,
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
                fingerprint: fingerprint(room, &content),
                reply_id,
                created_at: now,
            };
            if let Some(first) = idempotency::claim(&tx, &key).await? {
                drop(tx);
                return self.sent_before(user, &key, &first).await;
            }
        }
        let room =
            chatrooms::advance_owned_by(&tx, user, room, now).await?.ok_or(Error::NotFound("chatroom"))?;
        let usage = self.reserve(&tx, user, now).await?;
        let place = Place::after(branches::tail(&tx, room.id).await?.as_ref());
        let message = path::message(&room, &place, content.into(), now);
        messages::insert(&tx, &message).await?;
        let reply = path::queue_reply(&tx, &room, &message, reply_id, now).await?;
        users::bump_rooms_version(&tx, user).await?;
        commit(tx).await?;
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %room.id.0,
            message_id = %message.id.0,
            reply_id = %reply.id.0,
            "message accepted"
        );
        self.tell(&[Topic::Jobs, Topic::Room(room.id), Topic::Account(user)]).await;
        Ok(Sent { message, reply, usage })
    }

    async fn sent_before(
        &self,
        user: UserId,
        key: &idempotency_key::Model,
        first: &idempotency_key::Model,
    ) -> Result<Sent> {
        if key.fingerprint != first.fingerprint {
            let problem = format!("idempotencyKey {} was used for another message.", key.key);
            return Err(Error::Conflict(problem));
        }
        let reply = self.owned_message(user, first.reply_id).await?;
        let message = self.owned_message(user, reply.parent_id.ok_or(Error::NotFound("message"))?).await?;
        Ok(Sent { message, reply, usage: self.usage(self.db.read(), user).await? })
    }
}

fn fingerprint(room: ChatroomId, content: &Content) -> Vec<u8> {
    let asked = [room.0.as_bytes().as_slice(), content.as_str().as_bytes()].concat();
    digest::digest(&digest::SHA256, &asked).as_ref().to_vec()
}
