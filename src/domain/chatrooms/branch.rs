//! Appending to a chatroom's active branch.

use entity::{MessageId, Timestamp, chatroom, job, message};
use message::{Role, Status};
use sea_orm::ConnectionTrait;

use crate::domain::replies::JOB_KIND;
use crate::{
    error::Result,
    store::{jobs, messages},
};

/// Where a message is inserted in the tree.
pub(super) struct Position {
    pub(super) parent: Option<MessageId>,
    pub(super) depth: i32,
}

impl Position {
    pub(super) fn after(message: Option<&message::Model>) -> Self {
        Self {
            parent: message.map(|message| message.id),
            depth: message.map_or(0, |message| message.depth + 1),
        }
    }
}

/// Builds a user's message at this position. The message gets the version of `chatroom`, which the caller's transaction must have
/// incremented.
pub(super) fn new_user_message(
    chatroom: &chatroom::Model,
    position: &Position,
    content: String,
    now: Timestamp,
) -> message::Model {
    message::Model {
        id: MessageId::generate(),
        user_id: chatroom.user_id,
        chatroom_id: chatroom.id,
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
        added_version: chatroom.version,
        changed_version: chatroom.version,
        created_at: now,
        completed_at: Some(now),
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
    let reply = message::Model {
        id: reply_id,
        role: Role::Model,
        status: Status::Queued,
        completed_at: None,
        ..new_user_message(chatroom, &Position::after(Some(message)), String::new(), now)
    };
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
