//! Chatrooms and what their owner does in them: management, sending, editing and regenerating, switching between versions, and
//! the events of a chatroom and of an account. Replies are written by [`replies`](super::replies), which must
//! not use this module.
//!
//! ```text
//!  send, edit, regenerate ──► one transaction: message, QUEUED reply, its job, quota ──► signals ──► events on every device
//! ```

mod account;
mod branch;
mod buffered;
mod chatroom_list_events;
mod deletion;
mod edit;
mod events;
mod export;
mod idempotency;
mod input;
mod list_version;
mod management;
mod rate;
mod regenerate;
mod select;
mod send;
mod subscribe;
mod title;

use std::sync::Arc;

use crate::{
    clock::Clock,
    domain::{quota::Quota, replies::Replies},
    ports::{cache::Cache, signals::Signals},
    store::Db,
};

pub use account::AccountState;
pub use chatroom_list_events::{ListChange, ListEvent};
pub use events::{ChatroomChange, ChatroomEvent};
pub use export::{ChatroomExport, ExportFormat};
pub(super) use idempotency::{Idempotent, Request, store_key_or_find_result};
pub use input::{Content, IdempotencyKey, SystemInstruction, Title};
pub use management::{ChatroomUpdate, NewChatroom};
pub use send::MessageAndReply;
pub use subscribe::Feeds;
pub use title::TitleResult;

/// The use cases of chatrooms.
#[derive(Clone)]
pub struct Chatrooms {
    pub db: Db,
    pub clock: Clock,
    pub signals: Arc<dyn Signals>,
    pub cache: Arc<dyn Cache>,
    pub quota: Quota,
    pub replies: Replies,
    pub feeds: Feeds,
}
