//! The reply log in memory: one string for each reply, and a channel that broadcasts the appended entries.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use entity::MessageId;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    adapters::guarded::{Guarded, lock},
    clock::Clock,
    ports::{
        Unavailable,
        reply_log::{AppendError, Cursor, KEPT_AFTER_END, LogEntry, LogUpdate, ReplyLog},
    },
};

/// How many updates a subscriber may lag behind before it must reread the log.
const BACKLOG: usize = 256;

type Logs = Arc<Mutex<HashMap<MessageId, Log>>>;

#[derive(Clone, Debug)]
pub struct MemoryReplyLog {
    logs: Logs,
    clock: Clock,
}

#[derive(Debug)]
struct Log {
    /// The current attempt; 0 if nothing has been appended and the log exists only for its subscribers.
    attempt: u32,
    text: String,
    updates: broadcast::Sender<LogUpdate>,
    /// None until the reply has ended.
    expires_at: Option<DateTime<Utc>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { attempt: 0, text: String::new(), updates: broadcast::Sender::new(BACKLOG), expires_at: None }
    }
}

impl Log {
    /// The position at the end of the text.
    fn end(&self) -> Cursor {
        Cursor { attempt: self.attempt, offset: self.text.len() }
    }

    fn publish(&self, update: LogUpdate) {
        // An error means that there are no subscribers.
        let _ = self.updates.send(update);
    }
}

impl MemoryReplyLog {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { logs: Logs::default(), clock }
    }
}

#[async_trait]
impl ReplyLog for MemoryReplyLog {
    async fn append(&self, reply: MessageId, entry: LogEntry) -> Result<(), AppendError> {
        let mut logs = lock(&self.logs);
        let log = logs.entry(reply).or_default();
        log.end().check_append(&entry)?;
        if entry.end.attempt > log.attempt {
            log.attempt = entry.end.attempt;
            log.text.clear();
            log.expires_at = None;
        }
        log.text.push_str(&entry.text);
        log.publish(LogUpdate::Appended(entry));
        Ok(())
    }

    async fn read(
        &self,
        reply: MessageId,
        after: Cursor,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, Unavailable> {
        let now = self.clock.now();
        let logs = lock(&self.logs);
        let has_entries = |log: &&Log| log.expires_at.is_none_or(|at| at > now) && log.end() > after;
        let Some(log) = logs.get(&reply).filter(has_entries) else { return Ok(Vec::new()) };
        let begin = Cursor { attempt: log.attempt, offset: 0 };
        let read_up_to = if after.attempt == log.attempt { after.offset } else { 0 };
        // The server issues no cursor that splits a character. For such a cursor, the text is returned from its beginning.
        let start = if log.text.is_char_boundary(read_up_to) { read_up_to } else { 0 };
        let end = log.text.ceil_char_boundary(start.saturating_add(max_bytes));
        let first_entry = (after < begin).then(|| LogEntry { end: begin, text: String::new() });
        let text = (start < end).then(|| LogEntry {
            end: Cursor { offset: end, ..begin },
            text: log.text[start..end].to_owned(),
        });
        Ok(first_entry.into_iter().chain(text).collect())
    }

    async fn subscribe(&self, reply: MessageId) -> BoxStream<'static, LogUpdate> {
        let updates = lock(&self.logs).entry(reply).or_default().updates.subscribe();
        let guard = UnusedLogGuard { logs: self.logs.clone(), reply };
        let live = BroadcastStream::new(updates).map(|received| match received {
            Ok(update) => update,
            Err(BroadcastStreamRecvError::Lagged(_)) => LogUpdate::Reread,
        });
        Guarded::new(live, guard).boxed()
    }

    async fn end(&self, reply: MessageId) -> Result<(), Unavailable> {
        let now = self.clock.now();
        let mut logs = lock(&self.logs);
        logs.retain(|_, log| log.expires_at.is_none_or(|at| at > now));
        if let Some(log) = logs.get_mut(&reply) {
            log.publish(LogUpdate::Reread);
            log.expires_at = Some(now + KEPT_AFTER_END);
        }
        Ok(())
    }
}

/// Removes a log without entries when its last subscriber is dropped.
struct UnusedLogGuard {
    logs: Logs,
    reply: MessageId,
}

impl Drop for UnusedLogGuard {
    fn drop(&mut self) {
        let mut logs = lock(&self.logs);
        let is_unused = |log: &Log| log.attempt == 0 && log.updates.receiver_count() == 0;
        if logs.get(&self.reply).is_some_and(is_unused) {
            logs.remove(&self.reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_log_without_entries_and_subscribers_is_removed() {
        let log = MemoryReplyLog::new(Clock::system());
        let reply = MessageId::generate();
        let mut subscriber = log.subscribe(reply).await;
        assert!(subscriber.next().now_or_never().is_none());
        assert_eq!(lock(&log.logs).len(), 1);
        drop(subscriber);
        assert_eq!(lock(&log.logs).len(), 0);
    }
}
