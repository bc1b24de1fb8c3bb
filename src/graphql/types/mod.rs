//! The types of the API: objects, interfaces, unions, enums and scalars, and the inputs that several operations share.

mod billing;
mod chatroom;
mod chatroom_connection;
mod events;
mod generation;
mod message;
mod model;
mod phone_number;
mod search;
mod share;
mod usage;
mod user;

pub use billing::{Billing, SubscriptionStatus};
pub use chatroom::{Chatroom, DataExport};
pub use chatroom_connection::ChatroomConnection;
pub use events::{AccountEvent, ChatroomEvent, ChatroomListEvent, ReplyEvent};
pub use generation::{GenerationInput, GenerationSettings};
pub use message::{Feedback, Message};
pub use model::Model;
pub use phone_number::PhoneNumberScalar;
pub use search::SearchConnection;
pub use share::{ChatroomShare, SharedChatroom};
pub use usage::Usage;
pub use user::{Session, User};

use async_graphql::{ID, Interface};

/// An object with a globally unique id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The globally unique id of the object."))]
pub enum Node {
    User(User),
    Chatroom(Chatroom),
    Message(Message),
    Session(Session),
}

/// Parses an id. `object` names the object in the error, such as "chatroom". An id of another type or form is NOT_FOUND, like the
/// id of a missing object.
pub fn parse_id<T: std::str::FromStr>(id: &ID, object: &'static str) -> Result<T, crate::error::Error> {
    id.parse().map_err(|_| crate::error::Error::NotFound(object))
}
