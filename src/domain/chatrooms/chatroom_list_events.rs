//! Subscribing to a user's list of chatrooms: what was created, changed or deleted, on every device.
//!
//! A subscriber compares the versions of all chatrooms with those that it has read before, so that it needs no event log and
//! misses nothing, whatever changed a chatroom:
//!
//! ```text
//!  subscribe to signals ──► read versions ──► reset, unless the list is as it was at the cursor `after`
//!                                                 │
//!        ┌── created, updated, deleted ──┐        │
//!        │                               ▼        ▼
//!  read versions ◄─────────────────── signal or timeout
//! ```

use std::{sync::Arc, time::Duration};

use async_stream::try_stream;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{ChatroomId, UserId, chatroom};
use futures_util::{Stream, StreamExt};
use ring::digest::{Context, SHA256};
use tokio::time::{Instant, sleep, timeout};

use super::Chatrooms;
use crate::{domain::read_retry::with_read_retry, error::Result, ports::signals::Topic, store::chatrooms};

/// How often to read the list without a signal: a process that is killed after a change does not publish the signal.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// After a read, the subscriber waits this many times as long as the read took, so that a long list that changes all the time
/// uses a small part of a connection.
const PAUSE_FACTOR: u32 = 10;
/// How many changed chatrooms are read in one query and held until they have been sent.
const BATCH: usize = 20;

/// A change of the list, and the cursor to resume from.
#[derive(Clone, Debug)]
pub struct ListEvent {
    pub cursor: String,
    pub change: ListChange,
}

#[derive(Clone, Debug)]
pub enum ListChange {
    /// The client must read the list, because it subscribes without a cursor or the list may have changed since its cursor.
    Reset {
        /// Whether the client subscribes with a cursor, so that its copy of the list may be outdated.
        has_missed_changes: bool,
    },
    Created(Box<chatroom::Model>),
    Updated(Box<chatroom::Model>),
    Deleted(ChatroomId),
}

/// The versions of a user's chatrooms, ordered by id.
type Versions = Vec<(ChatroomId, i64)>;

/// The cursor of a list in this state: a digest of the ids and versions.
fn cursor(versions: &Versions) -> String {
    let mut digest = Context::new(&SHA256);
    for (id, version) in versions {
        digest.update(id.0.as_bytes());
        digest.update(&version.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..16])
}

/// A chatroom in which two states of a list differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Created(ChatroomId),
    Updated(ChatroomId),
    Deleted(ChatroomId),
}

impl Difference {
    fn chatroom(self) -> ChatroomId {
        match self {
            Self::Created(id) | Self::Updated(id) | Self::Deleted(id) => id,
        }
    }
}

/// The differences between two states of a list. Both are ordered by id, so one pass finds them.
fn differences(old: &Versions, new: &Versions) -> Vec<Difference> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some((old_id, old_version)), Some((new_id, new_version))) if old_id == new_id => {
                if old_version != new_version {
                    found.push(Difference::Updated(*new_id));
                }
                old.next();
                new.next();
            }
            (Some((old_id, _)), Some((new_id, _))) if old_id < new_id => {
                found.push(Difference::Deleted(*old_id));
                old.next();
            }
            (Some((old_id, _)), None) => {
                found.push(Difference::Deleted(*old_id));
                old.next();
            }
            (_, Some((new_id, _))) => {
                found.push(Difference::Created(*new_id));
                new.next();
            }
        }
    }
}

impl Chatrooms {
    /// The changes of the user's list, archived chatrooms included. The first event is [`Reset`](ListChange::Reset), unless the
    /// list is as it was at the event with the cursor `after`.
    pub async fn chatroom_list_events(
        self: &Arc<Self>,
        user: UserId,
        after: Option<String>,
    ) -> impl Stream<Item = Result<ListEvent>> + Send + 'static {
        let mut signals = self.signals.subscribe(Topic::Chatrooms(user)).await;
        let chatrooms = self.clone();
        try_stream! {
            let mut known: Option<Versions> = None;
            loop {
                let started = Instant::now();
                // None: the read failed, and `with_read_retry` has waited.
                let Some(read) = with_read_retry(|| chatrooms.list_versions(user)).await? else { continue };
                let read_time = started.elapsed();
                let (old, new) = (known.replace(read.clone()), read);
                match old {
                    None => {
                        let cursor = cursor(&new);
                        if after.as_ref() != Some(&cursor) {
                            let change = ListChange::Reset { has_missed_changes: after.is_some() };
                            yield ListEvent { cursor, change };
                        }
                    }
                    Some(old) if old == new => {}
                    Some(old) => {
                        let found = differences(&old, &new);
                        let (old_cursor, new_cursor) = (cursor(&old), cursor(&new));
                        let last = found.last().copied();
                        for batch in found.chunks(BATCH) {
                            // Repeats a failed read. `with_read_retry` has waited before it returns none.
                            let changes = loop {
                                if let Some(read) = with_read_retry(|| chatrooms.list_changes(batch)).await? {
                                    break read;
                                }
                            };
                            for (difference, change) in changes {
                                // Only the last change brings the client to the new state. Until then, it resumes from the old
                                // state.
                                let cursor = if Some(difference) == last { &new_cursor } else { &old_cursor };
                                yield ListEvent { cursor: cursor.clone(), change };
                            }
                        }
                    }
                }
                sleep(read_time * PAUSE_FACTOR).await;
                // Read the list again, whether a signal has arrived or the time is up.
                let _ = timeout(POLL_EVERY, signals.next()).await;
            }
        }
    }

    async fn list_versions(&self, user: UserId) -> Result<Versions> {
        Ok(chatrooms::versions_owned_by(self.db.read(), user).await?)
    }

    /// The changes with their chatrooms. A chatroom that was deleted meanwhile is left out; the next read reports the deletion.
    async fn list_changes(&self, found: &[Difference]) -> Result<Vec<(Difference, ListChange)>> {
        let ids: Vec<_> = found.iter().map(|difference| difference.chatroom()).collect();
        let rows = chatrooms::by_ids(self.db.read(), &ids).await?;
        let row = |id| rows.iter().find(|row| row.id == id).cloned().map(Box::new);
        let changes = found.iter().filter_map(|&difference| {
            let change = match difference {
                Difference::Created(id) => ListChange::Created(row(id)?),
                Difference::Updated(id) => ListChange::Updated(row(id)?),
                Difference::Deleted(id) => ListChange::Deleted(id),
            };
            Some((difference, change))
        });
        Ok(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_created_updated_or_deleted_chatroom_is_a_difference() {
        let ids: Vec<_> = (0..5).map(|_| ChatroomId::generate()).collect();
        let old = vec![(ids[0], 1), (ids[1], 1), (ids[3], 1)];
        let new = vec![(ids[1], 2), (ids[2], 1), (ids[3], 1), (ids[4], 1)];
        let expected = [
            Difference::Deleted(ids[0]),
            Difference::Updated(ids[1]),
            Difference::Created(ids[2]),
            Difference::Created(ids[4]),
        ];
        assert_eq!(differences(&old, &new), expected);
        assert_eq!(differences(&new, &new), []);
        assert_eq!(differences(&old, &Vec::new()).len(), 3);
        assert_ne!(cursor(&old), cursor(&new));
    }
}
