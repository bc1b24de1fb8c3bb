//! Adding to a room's path.

use entity::{MessageId, Timestamp, chatroom, job, message};
use message::{Role, Status};
use sea_orm::ConnectionTrait;

use super::reply::JOB_KIND;
use crate::{
    error::Result,
    store::{jobs, messages},
};

/// Where a message is to stand.
pub(super) struct Place {
    pub(super) parent: Option<MessageId>,
    pub(super) depth: i32,
}

impl Place {
    pub(super) fn after(message: Option<&message::Model>) -> Self {
        Self {
            parent: message.map(|message| message.id),
            depth: message.map_or(0, |message| message.depth + 1),
        }
    }
}

/// A message at the end of the path, in the version of a room that the transaction has taken.
pub(super) fn message(
    room: &chatroom::Model,
    place: &Place,
    content: String,
    now: Timestamp,
) -> message::Model {
    message::Model {
        id: MessageId::generate(),
        user_id: room.user_id,
        chatroom_id: room.id,
        parent_id: place.parent,
        depth: place.depth,
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
        added_in: room.version,
        changed_in: room.version,
        created_at: now,
        completed_at: Some(now),
    }
}

/// Stores a QUEUED reply to `to`, and the job that writes it.
pub(super) async fn queue_reply(
    tx: &impl ConnectionTrait,
    room: &chatroom::Model,
    to: &message::Model,
    id: MessageId,
    now: Timestamp,
) -> Result<message::Model> {
    let reply = message::Model {
        id,
        role: Role::Model,
        status: Status::Queued,
        completed_at: None,
        ..message(room, &Place::after(Some(to)), String::new(), now)
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
