//! The events of subscriptions: as the domain emits them, and as the responses that clients receive.

use std::sync::Arc;

use async_graphql::Response;
use entity::MessageId;
use futures_util::stream::BoxStream;

use crate::{
    domain::{
        chatrooms::{AccountState, ChatroomChange, ChatroomEvent, ListEvent},
        replies::{Cursor, ReplyEvent},
    },
    error::Result,
};

/// A response to send to the client. An event of a resumable subscription has the cursor after which to resume.
pub struct Event {
    pub response: Response,
    pub cursor: Option<String>,
}

impl From<Response> for Event {
    fn from(response: Response) -> Self {
        Self { response, cursor: None }
    }
}

/// An event of the domain, before it is resolved.
#[derive(Clone, Debug)]
pub enum SourceEvent {
    Reply(MessageId, ReplyEvent),
    Chatroom(Arc<ChatroomEvent>),
    ChatroomList(Box<ListEvent>),
    Account(Box<AccountState>),
}

/// The events of a subscription, in order.
pub type SourceEvents = BoxStream<'static, Result<SourceEvent>>;

/// New text of a reply.
pub(super) struct Delta<'a> {
    /// The version of the chatroom if the event is a chatroom event; `None` for an event of `replyStream`.
    pub(super) version: Option<i64>,
    pub(super) reply: MessageId,
    pub(super) cursor: Cursor,
    pub(super) text: &'a str,
}

impl SourceEvent {
    /// The cursor after which to resume. `None` if the subscription is not resumable.
    pub(super) fn cursor(&self) -> Option<String> {
        match self {
            Self::Reply(_, event) => Some(event.cursor().to_string()),
            Self::Chatroom(event) => Some(event.version.to_string()),
            Self::ChatroomList(event) => Some(event.cursor.clone()),
            Self::Account(_) => None,
        }
    }

    /// The new text, if the event is a `ReplyDelta`.
    pub(super) fn delta(&self) -> Option<Delta<'_>> {
        let (version, reply, event) = match self {
            Self::Reply(reply, event) => (None, *reply, event),
            Self::Chatroom(event) => match &event.change {
                ChatroomChange::Reply(reply, reply_event) => (Some(event.version), *reply, reply_event),
                _ => return None,
            },
            Self::ChatroomList(_) | Self::Account(_) => return None,
        };
        let ReplyEvent::Delta { cursor, text } = event else { return None };
        Some(Delta { version, reply, cursor: *cursor, text })
    }
}
