//! The messages of the last prompt of a chatroom, so that its next reply reads only the messages that were added since.
//!
//! An entry cannot become wrong: a message that has ended does not change, nor does the message above it. Whether an entry is of the
//! branch of a reply, the reply's parents show.

use std::{sync::Arc, time::Duration};

use entity::ChatroomId;
use moka::future::Cache;

use crate::store::branches::HistoryMessage;

/// The maximum size of the cached texts.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How long messages are kept after their last use, also if the chatroom is deleted meanwhile.
const KEPT: Duration = Duration::from_mins(10);

/// Newest first, as many as a prompt needs; none if the chatroom has no entry.
pub(super) type CachedHistory = Arc<[HistoryMessage]>;

#[derive(Clone)]
pub struct HistoryCache(Cache<ChatroomId, CachedHistory>);

impl Default for HistoryCache {
    fn default() -> Self {
        let size = |_: &ChatroomId, messages: &CachedHistory| {
            let texts: usize = messages.iter().map(|message| message.content.len()).sum();
            u32::try_from(texts + size_of_val::<[HistoryMessage]>(messages)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(size).max_capacity(MAX_BYTES).time_to_idle(KEPT).build())
    }
}

impl HistoryCache {
    pub(super) async fn get(&self, chatroom: ChatroomId) -> CachedHistory {
        self.0.get(&chatroom).await.unwrap_or_default()
    }

    /// Keeps the messages, unless one of them may still change.
    pub(super) async fn insert(&self, chatroom: ChatroomId, messages: &[HistoryMessage]) {
        if messages.iter().all(|message| message.status.is_final()) {
            self.0.insert(chatroom, messages.into()).await;
        }
    }
}
