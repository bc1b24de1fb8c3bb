//! Keeps the messages of each chatroom's last prompt, so that its next reply reads only the messages that were added since.
//!
//! An entry never becomes outdated: a message that has ended keeps its content and its parent. An entry may belong to another
//! branch than the next reply. The prompt therefore uses it only if the reply's ancestors lead to the entry's newest message.

use std::{sync::Arc, time::Duration};

use entity::ChatroomId;
use moka::future::Cache;

use crate::store::branches::HistoryMessage;

/// The maximum size of all entries together.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How long an entry is kept after its last use, even if its chatroom is deleted meanwhile.
const MAX_IDLE: Duration = Duration::from_mins(10);

/// As many messages as a prompt needs, newest first. Empty if the chatroom has no entry.
pub(super) type CachedHistory = Arc<[HistoryMessage]>;

/// The cache. Clones share its entries.
#[derive(Clone)]
pub struct HistoryCache(Cache<ChatroomId, CachedHistory>);

impl Default for HistoryCache {
    fn default() -> Self {
        let size = |_: &ChatroomId, messages: &CachedHistory| {
            let texts: usize = messages.iter().map(|message| message.content.len()).sum();
            u32::try_from(texts + size_of_val::<[HistoryMessage]>(messages)).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().weigher(size).max_capacity(MAX_BYTES).time_to_idle(MAX_IDLE).build())
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
