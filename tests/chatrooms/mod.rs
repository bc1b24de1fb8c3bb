//! Chatrooms, their messages and their events.

mod branches;
mod events;
mod list_events;
mod lists;
mod management;
mod messages;
mod titles;
