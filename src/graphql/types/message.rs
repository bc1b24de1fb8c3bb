use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use entity::{MessageId, Timestamp, message};
use tokio::sync::OnceCell;

use super::{Chatroom, parse_id};
use crate::{
    domain::replies::end_cursor,
    error::{Error, Result},
    graphql::engine::{
        context::loader,
        loaders::{QueueOf, VersionsOf},
        paging::MAX_PAGE_SIZE,
    },
    store::messages::VersionsAt,
};

/// A message of a user, or a reply of a model. Most events of a reply carry only its id, so the row is loaded when a field needs
/// it.
#[derive(Clone)]
pub struct Message {
    id: MessageId,
    row: OnceCell<Arc<message::Model>>,
}

impl Message {
    /// The message of this row.
    pub fn of(row: message::Model) -> Self {
        Self::shared(Arc::new(row))
    }

    /// The message with this id, whose row has not been loaded.
    pub fn by_id(id: MessageId) -> Self {
        Self { id, row: OnceCell::new() }
    }

    /// The message of a shared row.
    pub fn shared(row: Arc<message::Model>) -> Self {
        Self { id: row.id, row: OnceCell::new_with(Some(row)) }
    }

    /// The row, which is loaded at most once.
    async fn row(&self, ctx: &Context<'_>) -> Result<&Arc<message::Model>> {
        let load = async || loader(ctx).load_one(self.id).await?.ok_or(Error::NotFound("message"));
        self.row.get_or_try_init(load).await
    }
}

/// A message of a user, or a reply of a model.
#[Object]
impl Message {
    /// The id of the message.
    pub async fn id(&self) -> ID {
        self.id.into()
    }

    /// The chatroom of the message.
    async fn chatroom(&self, ctx: &Context<'_>) -> Result<Chatroom> {
        let chatroom = loader(ctx).load_one(self.row(ctx).await?.chatroom_id).await?;
        chatroom.map(Chatroom).ok_or(Error::NotFound("chatroom"))
    }

    /// The author of the message.
    async fn role(&self, ctx: &Context<'_>) -> Result<Role> {
        Ok(self.row(ctx).await?.role.into())
    }

    /// The text. For a reply that is being written, the text so far.
    async fn content(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(&self.row(ctx).await?.content)
    }

    /// The status.
    async fn status(&self, ctx: &Context<'_>) -> Result<MessageStatus> {
        Ok(self.row(ctx).await?.status.into())
    }

    /// The failure of a reply. Null unless its status is FAILED.
    async fn failure(&self, ctx: &Context<'_>) -> Result<Option<ReplyFailure>> {
        Ok(ReplyFailure::of(self.row(ctx).await?))
    }

    /// The position at the end of `content`. Pass it to replyStream(after:) to receive the text after it.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(end_cursor(self.row(ctx).await?).to_string())
    }

    /// The message before this one on its branch. Null for the first message.
    async fn in_reply_to(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(parent) = self.row(ctx).await?.parent_id else { return Ok(None) };
        Ok(loader(ctx).load_one(parent).await?.map(Message::shared))
    }

    /// The alternatives of this message, oldest first, itself included: edits of it, or replies to the same message.
    async fn alternatives(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of alternatives, from the newest: 1 to 100.", default = 20)] last: i32,
        #[graphql(desc = "Returns only alternatives older than the one with this id.")] before: Option<ID>,
    ) -> Result<Vec<Message>> {
        let limit = usize::try_from(last).ok().filter(|limit| (1..=MAX_PAGE_SIZE as usize).contains(limit));
        let limit = limit.ok_or_else(|| {
            Error::bad_input("last", format!("last must be 1 to {MAX_PAGE_SIZE}; got {last}."))
        })?;
        let before = before.map(|id| parse_id(&id, "message")).transpose()?;
        let position = VersionsAt::of(self.row(ctx).await?);
        let versions =
            loader(ctx).load_one(VersionsOf { position, limit, before }).await?.unwrap_or_default();
        Ok(versions.into_iter().map(Message::shared).collect())
    }

    /// Whether the message is on the chatroom's current branch.
    async fn is_current(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.row(ctx).await?.active)
    }

    /// The number of your unfinished replies before this one in the queue. Null unless its status is QUEUED.
    async fn queue_position(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let row = self.row(ctx).await?;
        if row.status != message::Status::Queued {
            return Ok(None);
        }
        let queue = loader(ctx).load_one(QueueOf(row.user_id)).await?.unwrap_or_default();
        Ok(queue.iter().position(|&id| id == self.id).and_then(|position| i32::try_from(position).ok()))
    }

    /// The user's feedback on a reply. Null without feedback.
    async fn feedback(&self, ctx: &Context<'_>) -> Result<Option<Feedback>> {
        Ok(self.row(ctx).await?.feedback.map(Feedback::from))
    }

    /// The name of the model that wrote a reply. Null for a message of a user.
    async fn model(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.model.as_deref())
    }

    /// The reason for which the model stopped, in the provider's term, such as STOP. Null until it has.
    async fn finish_reason(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.finish_reason.as_deref())
    }

    /// The tokens that a reply used. Null until it is complete.
    async fn tokens(&self, ctx: &Context<'_>) -> Result<Option<TokenUsage>> {
        let row = self.row(ctx).await?;
        let counted = row.prompt_tokens.zip(row.output_tokens).zip(row.thought_tokens);
        Ok(counted.map(|((prompt, output), thoughts)| TokenUsage {
            prompt,
            output,
            thoughts,
            total: prompt.saturating_add(output),
        }))
    }

    /// The time at which the message was sent, or the reply was queued.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<Timestamp> {
        Ok(self.row(ctx).await?.created_at)
    }

    /// The time at which the message was completed, failed or stopped. Null before that.
    async fn completed_at(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>> {
        Ok(self.row(ctx).await?.completed_at)
    }
}

/// The author of a message.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Role")]
pub enum Role {
    /// The user.
    User,
    /// The language model.
    Model,
}

/// The status of a message. A message of a user is always COMPLETED.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Status")]
pub enum MessageStatus {
    /// The reply waits for a worker.
    Queued,
    /// The reply is being written.
    Streaming,
    /// The message is complete.
    Completed,
    /// The reply has failed; see `failure`.
    Failed,
    /// The reply was stopped. Its text so far is kept.
    Cancelled,
}

/// A user's feedback on a reply.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Feedback")]
pub enum Feedback {
    /// The reply was good.
    Up,
    /// The reply was not good.
    Down,
}

/// The tokens that a reply used.
#[derive(SimpleObject)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    prompt: i32,
    /// Tokens of the output, thoughts included.
    output: i32,
    /// Tokens of thoughts, which are not shown.
    thoughts: i32,
    /// The sum of prompt and output.
    total: i32,
}

/// The failure of a reply. A failed reply uses no quota, unless it was blocked after part of it was shown.
#[derive(Clone, SimpleObject)]
pub struct ReplyFailure {
    /// The kind of the failure.
    code: ReplyFailureCode,
    /// The message for the user.
    message: String,
    /// Whether regenerateReply may succeed.
    retryable: bool,
}

impl ReplyFailure {
    /// The failure of a reply; `None` if it has not failed.
    pub fn of(row: &message::Model) -> Option<Self> {
        let code = row.failure_code?;
        let retryable = match code {
            message::FailureCode::ModelUnavailable
            | message::FailureCode::ModelRateLimited
            | message::FailureCode::TimedOut
            | message::FailureCode::Internal => true,
            message::FailureCode::ContentBlocked
            | message::FailureCode::ModelRejected
            | message::FailureCode::Misconfigured => false,
        };
        Some(Self { code: code.into(), message: row.failure_message.clone().unwrap_or_default(), retryable })
    }
}

/// The kind of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::FailureCode")]
pub enum ReplyFailureCode {
    /// The model's safety rules blocked the question or the answer.
    ContentBlocked,
    /// The model is down, overloaded or no longer offered.
    ModelUnavailable,
    /// The rate limit of the model is exceeded.
    ModelRateLimited,
    /// The model rejected the conversation.
    ModelRejected,
    /// The server's access to the model is misconfigured.
    Misconfigured,
    /// The model timed out.
    TimedOut,
    /// An internal error of the server.
    Internal,
}
