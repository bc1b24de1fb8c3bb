use async_graphql::{ComplexObject, Context, ID, SimpleObject, Union};
use entity::{MessageId, Timestamp, message};

use super::{Chatroom, Message, SubscriptionStatus, Usage, User, message::ReplyFailure};
use crate::{
    domain::{
        chatrooms::{self, AccountState},
        replies,
    },
    error::Result,
    graphql::engine::context::{auth, viewer},
};

/// An event of a reply.
#[derive(Union)]
pub enum ReplyEvent {
    Delta(ReplyDelta),
    Restarted(ReplyRestarted),
    Completed(ReplyCompleted),
    Failed(ReplyFailed),
    Cancelled(ReplyCancelled),
}

/// New text of a reply. Append it to the text so far.
#[derive(SimpleObject)]
pub struct ReplyDelta {
    /// The position at the end of the text. Pass it as `after` to resume.
    cursor: String,
    /// The text to append.
    text: String,
    /// The reply.
    message: Message,
}

/// A new attempt at the reply has started, after a lost worker or a failed model call. Discard the text so far.
#[derive(SimpleObject)]
pub struct ReplyRestarted {
    /// The position at the start of the new attempt.
    cursor: String,
    /// The number of the new attempt.
    attempt: i32,
    /// The reply.
    message: Message,
}

/// The reply is complete.
#[derive(SimpleObject)]
pub struct ReplyCompleted {
    /// The position at the end of the text.
    cursor: String,
    /// The reply.
    message: Message,
}

/// The reply has failed.
#[derive(SimpleObject)]
pub struct ReplyFailed {
    /// The position at the end of the text.
    cursor: String,
    /// The reply.
    message: Message,
    /// The reason of the failure.
    failure: ReplyFailure,
}

/// The reply was stopped. Its text so far is kept.
#[derive(SimpleObject)]
pub struct ReplyCancelled {
    /// The position at the end of the text.
    cursor: String,
    /// The reply.
    message: Message,
}

impl ReplyEvent {
    pub fn new(reply: MessageId, event: replies::ReplyEvent) -> Self {
        match event {
            replies::ReplyEvent::Delta { cursor, text } => {
                Self::Delta(ReplyDelta { cursor: cursor.to_string(), text, message: Message::by_id(reply) })
            }
            replies::ReplyEvent::Restarted { cursor } => Self::Restarted(ReplyRestarted {
                cursor: cursor.to_string(),
                attempt: cursor.attempt.cast_signed(),
                message: Message::by_id(reply),
            }),
            replies::ReplyEvent::Ended { cursor, message } => Self::ended(cursor.to_string(), *message),
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

/// An event of a chatroom.
#[derive(SimpleObject)]
pub struct ChatroomEvent {
    /// The position of the event. Pass it as `after` to resume.
    cursor: String,
    /// The change.
    change: ChatroomChange,
}

/// A change in a chatroom.
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

/// A message was added.
#[derive(SimpleObject)]
pub struct MessageAdded {
    /// The message.
    message: Message,
}

/// A message was changed. Replace your copy of it.
#[derive(SimpleObject)]
pub struct MessageChanged {
    /// The message.
    message: Message,
}

/// The chatroom itself was changed.
#[derive(SimpleObject)]
pub struct ChatroomUpdated {
    /// The chatroom after the change.
    chatroom: Chatroom,
}

/// The chatroom was deleted with its messages.
#[derive(SimpleObject)]
pub struct ChatroomDeleted {
    /// The id of the deleted chatroom.
    deleted_id: ID,
}

impl From<chatrooms::ChatroomEvent> for ChatroomEvent {
    fn from(event: chatrooms::ChatroomEvent) -> Self {
        let change = match event.change {
            chatrooms::ChatroomChange::Added(row) => {
                ChatroomChange::MessageAdded(MessageAdded { message: Message::of(*row) })
            }
            chatrooms::ChatroomChange::Changed(row) => {
                ChatroomChange::MessageChanged(MessageChanged { message: Message::of(*row) })
            }
            chatrooms::ChatroomChange::Updated(chatroom) => {
                ChatroomChange::ChatroomUpdated(ChatroomUpdated { chatroom: Chatroom(*chatroom) })
            }
            chatrooms::ChatroomChange::Deleted(id) => {
                ChatroomChange::ChatroomDeleted(ChatroomDeleted { deleted_id: id.into() })
            }
            chatrooms::ChatroomChange::Reply(id, event) => match ReplyEvent::new(id, event) {
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

/// An event of your list of chatrooms.
#[derive(SimpleObject)]
pub struct ChatroomListEvent {
    /// The state of the list after the event. Pass it as `after` to resume.
    cursor: String,
    /// The change.
    change: ChatroomListChange,
}

/// A change of your list of chatrooms.
#[derive(Union)]
pub enum ChatroomListChange {
    Reset(ChatroomListReset),
    Created(ChatroomCreated),
    Updated(ChatroomUpdated),
    Deleted(ChatroomDeleted),
}

/// Read the list now: every change from now on follows as an event.
#[derive(SimpleObject)]
pub struct ChatroomListReset {
    /// True if the list may have changed since the cursor `after`; false without one.
    has_missed_changes: bool,
}

/// A chatroom was created.
#[derive(SimpleObject)]
pub struct ChatroomCreated {
    /// The new chatroom.
    chatroom: Chatroom,
}

impl ChatroomListEvent {
    pub fn new(event: chatrooms::ListEvent) -> Self {
        let change = match event.change {
            chatrooms::ListChange::Reset { has_missed_changes } => {
                ChatroomListChange::Reset(ChatroomListReset { has_missed_changes })
            }
            chatrooms::ListChange::Created(row) => {
                ChatroomListChange::Created(ChatroomCreated { chatroom: Chatroom(*row) })
            }
            chatrooms::ListChange::Updated(row) => {
                ChatroomListChange::Updated(ChatroomUpdated { chatroom: Chatroom(*row) })
            }
            chatrooms::ListChange::Deleted(id) => {
                ChatroomListChange::Deleted(ChatroomDeleted { deleted_id: id.into() })
            }
        };
        Self { cursor: event.cursor, change }
    }
}

/// The state of an account.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct AccountEvent {
    /// The tier and billing state.
    subscription: SubscriptionStatus,
    /// What the user has used and may use.
    usage: Usage,
}

#[ComplexObject]
impl AccountEvent {
    /// The user, whose `subscription` and `usage` a client can update in its cache.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        auth(ctx).me(viewer(ctx)?).await.map(User)
    }
}

impl AccountEvent {
    pub fn new(account: &AccountState, now: Timestamp) -> Self {
        Self {
            subscription: SubscriptionStatus::new(account.subscription.as_ref(), now),
            usage: Usage::new(account.user, account.usage),
        }
    }
}
