use async_graphql::{ID, SimpleObject, Union};
use entity::{MessageId, Timestamp, message};

use super::{Chatroom, Message, SubscriptionStatus, Usage, message::ReplyFailure};
use crate::domain::chat::{self, AccountState};

/// What happens to a reply.
#[derive(Union)]
pub enum ReplyEvent {
    Delta(ReplyDelta),
    Restarted(ReplyRestarted),
    Completed(ReplyCompleted),
    Failed(ReplyFailed),
    Cancelled(ReplyCancelled),
}

/// Text to append.
#[derive(SimpleObject)]
pub struct ReplyDelta {
    /// Where the text ends: resume after it.
    cursor: String,
    /// The text.
    text: String,
    /// The reply.
    message: Message,
}

/// The worker was lost or the model call is tried again: discard the text so far.
#[derive(SimpleObject)]
pub struct ReplyRestarted {
    /// The beginning of the new attempt.
    cursor: String,
    /// Which attempt at the reply begins.
    attempt: i32,
    /// The reply.
    message: Message,
}

/// The reply is whole.
#[derive(SimpleObject)]
pub struct ReplyCompleted {
    /// Where the text ends.
    cursor: String,
    /// The reply.
    message: Message,
}

/// The reply could not be written.
#[derive(SimpleObject)]
pub struct ReplyFailed {
    /// Where the text ends.
    cursor: String,
    /// The reply.
    message: Message,
    /// Why.
    failure: ReplyFailure,
}

/// The reply was stopped; the text so far is kept.
#[derive(SimpleObject)]
pub struct ReplyCancelled {
    /// Where the text ends.
    cursor: String,
    /// The reply.
    message: Message,
}

impl ReplyEvent {
    pub fn new(reply: MessageId, event: chat::ReplyEvent) -> Self {
        match event {
            chat::ReplyEvent::Delta { cursor, text } => {
                Self::Delta(ReplyDelta { cursor: cursor.to_string(), text, message: Message::by_id(reply) })
            }
            chat::ReplyEvent::Restarted { cursor } => Self::Restarted(ReplyRestarted {
                cursor: cursor.to_string(),
                attempt: cursor.attempt.cast_signed(),
                message: Message::by_id(reply),
            }),
            chat::ReplyEvent::Ended { cursor, message } => Self::ended(cursor.to_string(), *message),
        }
    }

    fn ended(cursor: String, row: message::Model) -> Self {
        let failure = ReplyFailure::of(&row);
        let stopped = row.status == message::Status::Cancelled;
        let message = Message::of(row);
        match failure {
            Some(failure) => Self::Failed(ReplyFailed { cursor, message, failure }),
            None if stopped => Self::Cancelled(ReplyCancelled { cursor, message }),
            None => Self::Completed(ReplyCompleted { cursor, message }),
        }
    }
}

/// Something that happened in a room.
#[derive(SimpleObject)]
pub struct ChatroomEvent {
    /// Up to where everything has been told: resume after it.
    cursor: String,
    /// What happened.
    change: ChatroomChange,
}

/// What happened in a room.
#[derive(Union)]
pub enum ChatroomChange {
    MessageAdded(MessageAdded),
    MessageChanged(MessageChanged),
    Delta(ReplyDelta),
    Restarted(ReplyRestarted),
    Completed(ReplyCompleted),
    Failed(ReplyFailed),
    Cancelled(ReplyCancelled),
    ChatroomUpdated(ChatroomUpdated),
    ChatroomDeleted(ChatroomDeleted),
}

/// A message came.
#[derive(SimpleObject)]
pub struct MessageAdded {
    /// The message.
    message: Message,
}

/// Replace what you have of this message.
#[derive(SimpleObject)]
pub struct MessageChanged {
    /// The message.
    message: Message,
}

/// The room itself was changed.
#[derive(SimpleObject)]
pub struct ChatroomUpdated {
    /// The room as it is now.
    chatroom: Chatroom,
}

/// The room is gone, and everything in it.
#[derive(SimpleObject)]
pub struct ChatroomDeleted {
    /// The room's id.
    deleted_id: ID,
}

impl From<chat::ChatroomEvent> for ChatroomEvent {
    fn from(event: chat::ChatroomEvent) -> Self {
        let change = match event.change {
            chat::ChatroomChange::Added(row) => {
                ChatroomChange::MessageAdded(MessageAdded { message: Message::of(*row) })
            }
            chat::ChatroomChange::Changed(row) => {
                ChatroomChange::MessageChanged(MessageChanged { message: Message::of(*row) })
            }
            chat::ChatroomChange::Updated(room) => {
                ChatroomChange::ChatroomUpdated(ChatroomUpdated { chatroom: Chatroom(*room) })
            }
            chat::ChatroomChange::Deleted(id) => {
                ChatroomChange::ChatroomDeleted(ChatroomDeleted { deleted_id: id.into() })
            }
            chat::ChatroomChange::Reply(id, event) => match ReplyEvent::new(id, event) {
                ReplyEvent::Delta(event) => ChatroomChange::Delta(event),
                ReplyEvent::Restarted(event) => ChatroomChange::Restarted(event),
                ReplyEvent::Completed(event) => ChatroomChange::Completed(event),
                ReplyEvent::Failed(event) => ChatroomChange::Failed(event),
                ReplyEvent::Cancelled(event) => ChatroomChange::Cancelled(event),
            },
        };
        Self { cursor: event.version.to_string(), change }
    }
}

/// The state of an account.
#[derive(SimpleObject)]
pub struct AccountEvent {
    /// The tier and how it is paid for.
    subscription: SubscriptionStatus,
    /// Prompts used today.
    usage: Usage,
}

impl AccountEvent {
    pub fn new(account: &AccountState, now: Timestamp) -> Self {
        Self {
            subscription: SubscriptionStatus::new(account.subscription.as_ref(), now),
            usage: account.usage.into(),
        }
    }
}
