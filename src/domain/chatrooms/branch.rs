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

/// A user's message at this position. The transaction must have incremented the version of `chatroom`; the message gets it.
pub(super) fn message(
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

/// Stores a QUEUED reply to `to`, and the job that writes it.
pub(super) async fn queue_reply(
    tx: &impl ConnectionTrait,
    chatroom: &chatroom::Model,
    to: &message::Model,
    id: MessageId,
    now: Timestamp,
) -> Result<message::Model> {
    let reply = message::Model {
        id,
        role: Role::Model,
        status: Status::Queued,
        completed_at: None,
        ..message(chatroom, &Position::after(Some(to)), String::new(), now)
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
