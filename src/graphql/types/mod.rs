//! The objects of the API.

mod billing;
mod chatroom;
mod events;
mod message;
mod phone_number;
mod user;

pub use billing::SubscriptionStatus;
pub use chatroom::Chatroom;
pub use events::{AccountEvent, ChatroomEvent, ReplyEvent};
pub use message::Message;
pub use phone_number::PhoneNumberScalar;
pub use user::{Model, Session, Usage, User};

use async_graphql::{ID, Interface};

/// Anything that can be found by its id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Its id, unique among all objects."))]
pub enum Node {
    User(User),
    Chatroom(Chatroom),
    Message(Message),
}

/// An id of the wrong type or form is as good as an id of nothing.
pub(super) fn read_id<T: std::str::FromStr>(id: &ID, what: &'static str) -> Result<T, crate::error::Error> {
    id.parse().map_err(|_| crate::error::Error::NotFound(what))
}
