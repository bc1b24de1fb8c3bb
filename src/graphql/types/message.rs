use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use entity::{MessageId, Timestamp, message};
use tokio::sync::OnceCell;

use super::{Chatroom, read_id};
use crate::{
    domain::chat::end_cursor,
    error::{Error, Result},
    graphql::{
        context::loader,
        loaders::{QueueOf, VersionsOf},
        paging::LONGEST_PAGE,
    },
    store::messages::VersionsAt,
};

/// A message, or the reply to one. Its row is fetched when something of it is asked for: events of a stream carry only
/// the id.
#[derive(Clone)]
pub struct Message {
    id: MessageId,
    row: OnceCell<Arc<message::Model>>,
}

impl Message {
    pub fn of(row: message::Model) -> Self {
        Self::shared(Arc::new(row))
    }

    pub fn by_id(id: MessageId) -> Self {
        Self { id, row: OnceCell::new() }
    }

    pub fn shared(row: Arc<message::Model>) -> Self {
        Self { id: row.id, row: OnceCell::new_with(Some(row)) }
    }

    async fn row(&self, ctx: &Context<'_>) -> Result<&Arc<message::Model>> {
        let fetch = async || loader(ctx).load_one(self.id).await?.ok_or(Error::NotFound("message"));
        self.row.get_or_try_init(fetch).await
    }
}

/// A message, or the reply to one.
#[Object]
impl Message {
    /// The message's id.
    pub async fn id(&self) -> ID {
        self.id.into()
    }

    /// The room it stands in.
    async fn chatroom(&self, ctx: &Context<'_>) -> Result<Chatroom> {
        let room = loader(ctx).load_one(self.row(ctx).await?.chatroom_id).await?;
        room.map(Chatroom).ok_or(Error::NotFound("chatroom"))
    }

    /// Who speaks.
    async fn role(&self, ctx: &Context<'_>) -> Result<Role> {
        Ok(self.row(ctx).await?.role.into())
    }

    /// For a reply that is still being written: the text so far.
    async fn content(&self, ctx: &Context<'_>) -> Result<&str> {
        Ok(&self.row(ctx).await?.content)
    }

    /// How far it is.
    async fn status(&self, ctx: &Context<'_>) -> Result<MessageStatus> {
        Ok(self.row(ctx).await?.status.into())
    }

    /// Why a reply failed.
    async fn failure(&self, ctx: &Context<'_>) -> Result<Option<ReplyFailure>> {
        Ok(ReplyFailure::of(self.row(ctx).await?))
    }

    /// Where this content ends: hand it to replyStream(after:) to follow from here on.
    async fn cursor(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(end_cursor(self.row(ctx).await?).to_string())
    }

    /// The message that this one answers or follows.
    async fn in_reply_to(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let Some(parent) = self.row(ctx).await?.parent_id else { return Ok(None) };
        Ok(loader(ctx).load_one(parent).await?.map(Message::shared))
    }

    /// The newest versions of this message, oldest first: edits of it, or replies to the same message, itself included.
    async fn alternatives(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many: 1 to 100.", default = 20)] last: i32,
        #[graphql(desc = "Only versions older than the one of this id.")] before: Option<ID>,
    ) -> Result<Vec<Message>> {
        let newest = usize::try_from(last).ok().filter(|newest| (1..=LONGEST_PAGE as usize).contains(newest));
        let newest = newest.ok_or_else(|| {
            Error::bad_input("last", format!("last must be 1 to {LONGEST_PAGE}; got {last}."))
        })?;
        let before = before.map(|id| read_id(&id, "message")).transpose()?;
        let at = VersionsAt::of(self.row(ctx).await?);
        let versions = loader(ctx).load_one(VersionsOf { at, newest, before }).await?.unwrap_or_default();
        Ok(versions.into_iter().map(Message::shared).collect())
    }

    /// For a QUEUED reply: how many of yours are written before it.
    async fn queue_position(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let row = self.row(ctx).await?;
        if row.status != message::Status::Queued {
            return Ok(None);
        }
        let queue = loader(ctx).load_one(QueueOf(row.user_id)).await?.unwrap_or_default();
        Ok(queue.iter().position(|&id| id == self.id).and_then(|place| i32::try_from(place).ok()))
    }

    /// What the user thought of a reply.
    async fn feedback(&self, ctx: &Context<'_>) -> Result<Option<Feedback>> {
        Ok(self.row(ctx).await?.feedback.map(Feedback::from))
    }

    /// The model that wrote a reply.
    async fn model(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.model.as_deref())
    }

    /// Why the model stopped, in its own word, such as STOP.
    async fn finish_reason(&self, ctx: &Context<'_>) -> Result<Option<&str>> {
        Ok(self.row(ctx).await?.finish_reason.as_deref())
    }

    /// What a reply cost, once it is whole.
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

    /// When it was sent, or the reply was asked for.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<Timestamp> {
        Ok(self.row(ctx).await?.created_at)
    }

    /// When it was whole, failed or stopped.
    async fn completed_at(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>> {
        Ok(self.row(ctx).await?.completed_at)
    }
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Role")]
pub enum Role {
    /// The person.
    User,
    /// The language model.
    Model,
}

/// How far a message is. What a user sends is COMPLETED at once.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Status")]
pub enum MessageStatus {
    /// Waits for a worker.
    Queued,
    /// Is being written.
    Streaming,
    /// Is whole.
    Completed,
    /// Could not be written; `failure` says why.
    Failed,
    /// Was stopped; the text so far is kept.
    Cancelled,
}

/// What a user thought of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::Feedback")]
pub enum Feedback {
    /// It was good.
    Up,
    /// It was not.
    Down,
}

/// What a reply cost.
#[derive(SimpleObject)]
pub struct TokenUsage {
    /// Tokens read.
    prompt: i32,
    /// Tokens written, thoughts included.
    output: i32,
    /// Tokens thought and not shown.
    thoughts: i32,
    /// All of them.
    total: i32,
}

/// Why a reply failed. A failed reply costs no prompt, unless it was blocked after some of it was shown.
#[derive(Clone, SimpleObject)]
pub struct ReplyFailure {
    /// For programs.
    code: ReplyFailureCode,
    /// For people.
    message: String,
    /// Whether regenerateReply may succeed.
    retryable: bool,
}

impl ReplyFailure {
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

/// Why a reply failed, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "message::FailureCode")]
pub enum ReplyFailureCode {
    /// The model's safety rules blocked the question or the answer.
    ContentBlocked,
    /// The model is down, overloaded or gone.
    ModelUnavailable,
    /// The model is asked too often.
    ModelRateLimited,
    /// The model did not accept the conversation.
    ModelRejected,
    /// The server's access to the model is not set up correctly.
    Misconfigured,
    /// The model took too long.
    TimedOut,
    /// A fault of the server's.
    Internal,
}
