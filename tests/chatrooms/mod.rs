//! Chatrooms, their messages and their events.

mod events;
mod management;
mod messages;
