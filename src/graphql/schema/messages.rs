//! Messages and replies.

use async_graphql::{ComplexObject, Context, ID, InputObject, Object, SimpleObject};

use super::chatrooms::ChatroomPayload;
use crate::{
    domain::chatrooms::{Content, IdempotencyKey, MessageAndReply},
    error::Result,
    graphql::{
        engine::context::{auth, chatrooms, replies, viewer},
        types::{Chatroom, Feedback, Message, Usage, User, parse_id},
    },
};

#[derive(Default)]
pub struct MessageMutations;

#[Object]
impl MessageMutations {
    /// Stores a message and queues the reply to it, in one transaction. Subscribe to the reply with replyStream. Errors:
    /// UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT, QUOTA_EXCEEDED, and CONFLICT if the idempotency key was used with other content.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message and its chatroom.")] input: SendMessageInput,
    ) -> Result<SendMessagePayload> {
        let viewer = viewer(ctx)?;
        let content = Content::new(input.content)?;
        let key = input.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let chatroom = parse_id(&input.chatroom_id, "chatroom")?;
        chatrooms(ctx).send(viewer.user, chatroom, content, key).await.map(SendMessagePayload::from)
    }

    /// Stops a queued or streaming reply and keeps its text so far. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT, CONFLICT.
    async fn stop_reply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reply to stop.")] input: StopReplyInput,
    ) -> Result<MessagePayload> {
        let viewer = viewer(ctx)?;
        let reply = replies(ctx).stop(viewer.user, parse_id(&input.message_id, "message")?).await?;
        Ok(MessagePayload { message: Message::of(reply) })
    }

    /// Queues a new reply to the same message, which replaces a completed, failed or stopped one. Errors: UNAUTHENTICATED,
    /// NOT_FOUND, BAD_USER_INPUT, CONFLICT, QUOTA_EXCEEDED.
    async fn regenerate_reply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reply to replace.")] input: RegenerateReplyInput,
    ) -> Result<SendMessagePayload> {
        let viewer = viewer(ctx)?;
        let key = input.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let sent =
            chatrooms(ctx).regenerate(viewer.user, parse_id(&input.message_id, "message")?, key).await?;
        Ok(sent.into())
    }

    /// Stores another version of a message that you sent, makes it current and queues the reply to it. The edited version and the
    /// messages after it stay in `alternatives`. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT, QUOTA_EXCEEDED, and CONFLICT
    /// if the idempotency key was used for another request.
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The message to edit and its new text.")] input: EditMessageInput,
    ) -> Result<SendMessagePayload> {
        let viewer = viewer(ctx)?;
        let content = Content::new(input.content)?;
        let key = input.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let message = parse_id(&input.message_id, "message")?;
        chatrooms(ctx).edit(viewer.user, message, content, key).await.map(SendMessagePayload::from)
    }

    /// Stores your feedback on a reply that has ended; null removes it. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT,
    /// CONFLICT.
    async fn rate_reply(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reply and the feedback.")] input: RateReplyInput,
    ) -> Result<MessagePayload> {
        let viewer = viewer(ctx)?;
        let (reply, feedback) = (parse_id(&input.message_id, "message")?, input.feedback.map(Into::into));
        let rated = chatrooms(ctx).rate(viewer.user, reply, feedback).await?;
        Ok(MessagePayload { message: Message::of(rated) })
    }

    /// Makes a version of a message current, together with the newest messages below it. Errors: UNAUTHENTICATED, NOT_FOUND.
    async fn select_alternative(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The version to make current.")] input: SelectAlternativeInput,
    ) -> Result<ChatroomPayload> {
        let viewer = viewer(ctx)?;
        let chatroom = chatrooms(ctx).select(viewer.user, parse_id(&input.message_id, "message")?).await?;
        Ok(ChatroomPayload { chatroom: Chatroom(chatroom) })
    }
}

/// A message to send and its chatroom.
#[derive(InputObject)]
pub struct SendMessageInput {
    /// The id of the chatroom.
    chatroom_id: ID,
    /// The text: 1 to 32000 characters.
    content: String,
    /// A key that makes retries safe: a request with the same key and content returns the first result and uses no quota. At most
    /// 255 characters.
    idempotency_key: Option<String>,
}

/// A message to edit and its new text.
#[derive(InputObject)]
pub struct EditMessageInput {
    /// The id of a message that you sent.
    message_id: ID,
    /// The new text: 1 to 32000 characters.
    content: String,
    /// A key that makes retries safe: a request with the same key and content returns the first result and uses no quota. At most
    /// 255 characters.
    idempotency_key: Option<String>,
}

/// A reply to stop.
#[derive(InputObject)]
pub struct StopReplyInput {
    /// The id of the reply.
    message_id: ID,
}

/// A reply to replace.
#[derive(InputObject)]
pub struct RegenerateReplyInput {
    /// The id of the reply.
    message_id: ID,
    /// A key that makes retries safe: a request with the same key returns the first result. At most 255 characters.
    idempotency_key: Option<String>,
}

/// A reply and the feedback on it.
#[derive(InputObject)]
pub struct RateReplyInput {
    /// The id of the reply.
    message_id: ID,
    /// The feedback; null removes it.
    feedback: Option<Feedback>,
}

/// A version of a message to make current.
#[derive(InputObject)]
pub struct SelectAlternativeInput {
    /// The id of the version, one of `alternatives`.
    message_id: ID,
}

/// A stored message and its queued reply.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SendMessagePayload {
    /// The stored message.
    message: Message,
    /// The queued reply. Subscribe to it with replyStream.
    reply: Message,
    /// What the user has used and may use, after this prompt.
    usage: Usage,
}

#[ComplexObject]
impl SendMessagePayload {
    /// The user, whose `usage` a client can update in its cache.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        auth(ctx).me(viewer(ctx)?).await.map(User)
    }
}

impl From<MessageAndReply> for SendMessagePayload {
    fn from(sent: MessageAndReply) -> Self {
        let usage = Usage::new(sent.message.user_id, sent.usage);
        Self { message: Message::of(sent.message), reply: Message::of(sent.reply), usage }
    }
}

/// A changed message.
#[derive(SimpleObject)]
pub struct MessagePayload {
    /// The message.
    message: Message,
}
