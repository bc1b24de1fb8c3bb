//! Chatrooms, their messages and their events.

mod branches;
mod events;
mod management;
mod messages;
