//! Messages and replies.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::{ChatroomId, MessageId, UserId};

use super::{
    context::{auth, chat, viewer},
    types::{Chatroom, Message, Node, Usage, User, read_id},
};
use crate::{
    domain::chat::{Content, IdempotencyKey, Sent},
    error::Result,
};

#[derive(Default)]
pub struct MessageQueries;

#[Object]
impl MessageQueries {
    /// Any object by its id. Null if it does not exist or is not yours.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The object's id.")] id: ID,
    ) -> Result<Option<Node>> {
        let Ok(viewer) = viewer(ctx) else { return Ok(None) };
        if let Ok(room) = id.parse::<ChatroomId>() {
            return Ok(chat(ctx)
                .chatroom(viewer.user, room)
                .await?
                .map(|room| Node::Chatroom(Chatroom(room))));
        }
        if let Ok(message) = id.parse::<MessageId>() {
            return Ok(chat(ctx)
                .message(viewer.user, message)
                .await?
                .map(|row| Node::Message(Message::of(row))));
        }
        if id.parse::<UserId>() == Ok(viewer.user) {
            return auth(ctx).me(viewer).await.map(|user| Some(Node::User(User(user))));
        }
        Ok(None)
    }
}

#[derive(Default)]
pub struct MessageMutations;

#[Object]
impl MessageMutations {
    /// Stores the message and queues its reply, in one transaction. Follow the reply with replyStream.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message and where it goes.")] input: SendMessageInput,
    ) -> Result<SendMessagePayload> {
        let viewer = viewer(ctx)?;
        let content = Content::new(input.content)?;
        let key = input.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let room = read_id(&input.chatroom_id, "chatroom")?;
        chat(ctx).send(viewer.user, room, content, key).await.map(SendMessagePayload::from)
    }

    /// Stops a reply and keeps the text so far.
    async fn stop_reply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reply's id.")] message_id: ID,
    ) -> Result<MessagePayload> {
        let viewer = viewer(ctx)?;
        let reply = chat(ctx).stop(viewer.user, read_id(&message_id, "message")?).await?;
        Ok(MessagePayload { message: Message::of(reply) })
    }

    /// Queues a new reply to the same message, in place of a finished, failed or stopped one.
    async fn regenerate_reply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The old reply's id.")] message_id: ID,
    ) -> Result<SendMessagePayload> {
        let viewer = viewer(ctx)?;
        let sent = chat(ctx).regenerate(viewer.user, read_id(&message_id, "message")?).await?;
        Ok(sent.into())
    }
}

/// A message and where it goes.
#[derive(InputObject)]
pub struct SendMessageInput {
    /// The room.
    chatroom_id: ID,
    /// 1 to 32000 characters.
    content: String,
    /// The same key sent again returns the first result and uses no quota. At most 255 characters.
    idempotency_key: Option<String>,
}

/// A message that was stored and its reply, which is queued.
#[derive(SimpleObject)]
pub struct SendMessagePayload {
    /// The message.
    message: Message,
    /// The reply, to be followed with replyStream.
    reply: Message,
    /// Prompts used today, this one included.
    usage: Usage,
}

impl From<Sent> for SendMessagePayload {
    fn from(sent: Sent) -> Self {
        Self { message: Message::of(sent.message), reply: Message::of(sent.reply), usage: sent.usage.into() }
    }
}

/// A message that was changed.
#[derive(SimpleObject)]
pub struct MessagePayload {
    /// The message.
    message: Message,
}
