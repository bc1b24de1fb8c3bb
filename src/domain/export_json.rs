//! Converts chatrooms and messages to the JSON of downloads, and limits the batches in which messages are read.

use entity::{chatroom, message};
use serde_json::{Value, json};

use crate::store::messages;

/// Maximum number of messages in a batch, which is held in memory until the client has received it.
const MESSAGES_PER_BATCH: usize = 200;
/// Maximum size of a batch, in bytes.
const BYTES_PER_BATCH: usize = 1024 * 1024;

/// How many of these messages the next batch contains: at least one, even if that one exceeds the maximum size.
pub(super) fn batch_size(positions: &[messages::Position]) -> usize {
    let mut bytes = 0;
    let fitting = positions.iter().take(MESSAGES_PER_BATCH).take_while(|position| {
        bytes += position.length();
        bytes <= BYTES_PER_BATCH
    });
    fitting.count().max(1)
}

/// A chatroom as JSON, without its messages.
pub(super) fn chatroom_json(chatroom: &chatroom::Model) -> Value {
    json!({
        "id": chatroom.id, "title": chatroom.title, "systemInstruction": chatroom.system_instruction,
        "model": chatroom.model, "generation": chatroom.generation, "createdAt": chatroom.created_at, "updatedAt": chatroom.updated_at,
        "pinnedAt": chatroom.pinned_at, "archivedAt": chatroom.archived_at, "isTemporary": chatroom.is_temporary,
    })
}

/// A message as JSON.
pub(super) fn message_json(message: &message::Model) -> Value {
    json!({
        "id": message.id, "inReplyTo": message.parent_id, "active": message.active, "role": message.role,
        "status": message.status, "content": message.content, "model": message.model,
        "finishReason": message.finish_reason, "feedback": message.feedback, "createdAt": message.created_at,
        "completedAt": message.completed_at,
    })
}
