//! Chatrooms, their messages and their events.

mod branches;
mod events;
mod export;
mod histories;
mod list_events;
mod lists;
mod management;
mod many_devices;
mod messages;
mod quotas;
mod search;
mod search_index;
mod shares;
mod titles;
