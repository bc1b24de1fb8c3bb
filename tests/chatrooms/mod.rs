//! Chatrooms, their messages and their events.

mod branches;
mod events;
mod lists;
mod management;
mod messages;
mod titles;
