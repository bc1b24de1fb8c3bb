//! Sending a message. Everything that a message causes is written in one transaction: all of it is stored, or nothing.

use entity::{ChatroomId, MessageId, UserId, idempotency_key, message};
use ring::digest;

use super::{
    Chatrooms, Content, DailyUsage, IdempotencyKey,
    branch::{self, Position},
};
use crate::{
    domain::{billing::tiers::Tier, publish::publish, replies},
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        branches, chatrooms, commit, idempotency, messages,
        sending::{self, NewMessage, Stored},
        users,
    },
};

/// A stored message and its queued reply.
pub struct Sent {
    pub message: message::Model,
    pub reply: message::Model,
    pub usage: DailyUsage,
}

/// The result of a transaction that stores a message.
enum SendResult {
    /// The message was stored. Contains the new version of the user's list of chatrooms.
    New(Box<Sent>, i64),
    /// The idempotency key was used before, so that nothing was stored. Contains the row that its first use stored.
    Repeated(idempotency_key::Model),
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
        let (reply, now) = (MessageId::generate(), self.clock.now());
        let key = key.map(|key| idempotency_key::Model {
            user_id: user,
            key: key.into(),
            fingerprint: fingerprint(chatroom, &content),
            reply_id: reply,
            created_at: now,
        });
        let new = NewMessage {
            user,
            chatroom,
            message: MessageId::generate(),
            reply,
            job_kind: replies::JOB_KIND,
            content: content.as_str(),
            key: key.as_ref(),
            basic_limit: self.quota.daily_limit_or_i32_max(Tier::Basic),
            pro_limit: self.quota.daily_limit_or_i32_max(Tier::Pro),
            day: now.date_naive(),
            now,
        };
        let sent = match self.db.with_retry(|| self.store(&new)).await? {
            SendResult::New(sent, version) => {
                self.record_list_version(user, version).await;
                *sent
            }
            SendResult::Repeated(first) => return self.first_result(user, &new, &first).await,
        };
        tracing::info!(
            user_id = %user.0,
            chatroom_id = %chatroom.0,
            message_id = %sent.message.id.0,
            reply_id = %sent.reply.id.0,
            "message accepted"
        );
        publish(&*self.signals, &[Topic::Jobs, Topic::Chatroom(chatroom), Topic::Account(user)]).await;
        Ok(sent)
    }

    async fn store(&self, new: &NewMessage<'_>) -> Result<SendResult> {
        let Some(Stored { message, reply, used, is_pro, list_version }) =
            sending::store(&self.db, *new).await?
        else {
            return self.store_in_steps(new).await;
        };
        let tier = if is_pro { Tier::Pro } else { Tier::Basic };
        Ok(SendResult::New(
            Box::new(Sent { message, reply, usage: self.quota.usage_of(tier, used) }),
            list_version,
        ))
    }

    /// Does in several statements what [`sending::store`] does in one. It is used on SQLite, and on PostgreSQL if that statement
    /// has stored nothing: the key was used before, another call changed the chatroom meanwhile, or the message is rejected. In
    /// the last case the step that rejects the message returns the error.
    async fn store_in_steps(&self, new: &NewMessage<'_>) -> Result<SendResult> {
        let NewMessage { user, now, .. } = *new;
        let tx = self.db.begin().await?;
        if let Some(key) = new.key
            && let Some(first) = idempotency::claim(&tx, key).await?
        {
            return Ok(SendResult::Repeated(first));
        }
        let chatroom = chatrooms::increment_version_of_owned(&tx, user, new.chatroom, now)
            .await?
            .ok_or(Error::NotFound("chatroom"))?;
        let usage = self.quota.reserve(&tx, user, now).await?;
        let position = Position::after(branches::tail(&tx, chatroom.id).await?.as_ref());
        let message = message::Model {
            id: new.message,
            ..branch::message(&chatroom, &position, new.content.to_owned(), now)
        };
        messages::insert(&tx, &message).await?;
        let reply = branch::queue_reply(&tx, &chatroom, &message, new.reply, now).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        Ok(SendResult::New(Box::new(Sent { message, reply, usage }), list_version))
    }

    async fn first_result(
        &self,
        user: UserId,
        new: &NewMessage<'_>,
        first: &idempotency_key::Model,
    ) -> Result<Sent> {
        if new.key.is_none_or(|key| key.fingerprint != first.fingerprint) {
            let problem = format!("idempotencyKey {} was used for another message.", first.key);
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
