//! Appends messages and replies to a chatroom's active branch.

use entity::{ChatroomId, MessageId, Timestamp, UserId, chatroom, job, message};
use message::{Role, Status};
use sea_orm::ConnectionTrait;

use crate::domain::replies::JOB_KIND;
use crate::{
    error::Result,
    store::{jobs, messages},
};

/// Where a message is inserted in the tree of a chatroom.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) user: UserId,
    pub(super) chatroom: ChatroomId,
    /// The first version of the chatroom that contains the message.
    pub(super) version: i64,
    pub(super) parent: Option<MessageId>,
    pub(super) depth: i32,
}

impl Position {
    /// The position after `message`; if that is none, the position of the chatroom's first message. `chatroom` must have the
    /// version to which the caller's transaction has incremented it.
    pub(super) fn after(chatroom: &chatroom::Model, message: Option<&message::Model>) -> Self {
        Self {
            user: chatroom.user_id,
            chatroom: chatroom.id,
            version: chatroom.version,
            parent: message.map(|message| message.id),
            depth: message.map_or(0, |message| message.depth + 1),
        }
    }
}

/// Builds a user's message at this position.
pub(super) fn new_user_message(
    id: MessageId,
    position: Position,
    content: String,
    now: Timestamp,
) -> message::Model {
    message::Model {
        id,
        user_id: position.user,
        chatroom_id: position.chatroom,
        parent_id: position.parent,
        depth: position.depth,
        active: true,
        role: Role::User,
        content,
        status: Status::Completed,
        attempt: 0,
        failure_code: None,
        failure_message: None,
        model: None,
        finish_reason: None,
        prompt_tokens: None,
        output_tokens: None,
        thought_tokens: None,
        feedback: None,
        added_version: position.version,
        changed_version: position.version,
        created_at: now,
        completed_at: Some(now),
    }
}

/// Builds a QUEUED reply at this position.
pub(super) fn new_reply(id: MessageId, position: Position, now: Timestamp) -> message::Model {
    message::Model {
        role: Role::Model,
        status: Status::Queued,
        completed_at: None,
        ..new_user_message(id, position, String::new(), now)
    }
}

/// Stores a QUEUED reply to `message`, and the job that writes it.
pub(super) async fn queue_reply(
    tx: &impl ConnectionTrait,
    chatroom: &chatroom::Model,
    message: &message::Model,
    reply_id: MessageId,
    now: Timestamp,
) -> Result<message::Model> {
    let reply = new_reply(reply_id, Position::after(chatroom, Some(message)), now);
    messages::insert(tx, &reply).await?;
    let job = job::Model {
        user_id: Some(reply.user_id),
        chatroom_id: Some(reply.chatroom_id),
        message_id: Some(reply.id),
        position: reply.depth,
        ..jobs::new(JOB_KIND, now)
    };
    jobs::insert(tx, job).await?;
    Ok(reply)
}
