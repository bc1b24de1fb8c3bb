//! Subscribing to a user's list of chatrooms: what was created, changed or deleted, on every device.
//!
//! A subscriber compares the versions of all chatrooms with those that it has read before, so that it needs no event log and
//! misses nothing, whatever changed a chatroom:
//!
//! ```text
//!  subscribe to signals ──► read versions ──► reset, unless the list has not changed since `after`
//!                                                 │
//!        ┌── created, updated, deleted ──┐        │
//!        │                               ▼        ▼
//!  read versions ◄─────────────────── signal or timeout
//! ```

use std::time::Duration;

use async_stream::try_stream;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{ChatroomId, UserId, chatroom};
use futures_util::{Stream, StreamExt};
use ring::digest::{Context, SHA256};
use tokio::time::{Instant, sleep, timeout};

use super::Chatrooms;
use crate::{domain::read_retry::with_read_retry, error::Result, ports::signals::Topic, store::chatrooms};

/// How often to poll, because the signal of a change may be lost with a killed process.
const POLL_EVERY: Duration = Duration::from_secs(30);
/// After a read, the subscriber waits this many times as long as the read took, so that a long list that changes all the time
/// uses a small part of a connection.
const REST: u32 = 10;
/// How many changed chatrooms are read in one query and held until they have been sent.
const BATCH: usize = 20;

/// A change of the list, and the state to resume from.
#[derive(Clone, Debug)]
pub struct ListEvent {
    pub cursor: String,
    pub change: ListChange,
}

#[derive(Clone, Debug)]
pub enum ListChange {
    /// The client must read the list: it has none, or the list may have changed since its cursor.
    Reset {
        has_missed_changes: bool,
    },
    Created(Box<chatroom::Model>),
    Updated(Box<chatroom::Model>),
    Deleted(ChatroomId),
}

/// The versions of a user's chatrooms, ordered by id.
type Versions = Vec<(ChatroomId, i64)>;

/// The state of a list as a short text.
fn cursor(versions: &Versions) -> String {
    let mut digest = Context::new(&SHA256);
    for (id, version) in versions {
        digest.update(id.0.as_bytes());
        digest.update(&version.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..16])
}

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

fn differences(old: &Versions, new: &Versions) -> Vec<Difference> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some((id, known)), Some((other, version))) if id == other => {
                if known != version {
                    found.push(Difference::Updated(*id));
                }
                old.next();
                new.next();
            }
            (Some((id, _)), Some((other, _))) if id < other => {
                found.push(Difference::Deleted(*id));
                old.next();
            }
            (Some((id, _)), None) => {
                found.push(Difference::Deleted(*id));
                old.next();
            }
            (_, Some((id, _))) => {
                found.push(Difference::Created(*id));
                new.next();
            }
        }
    }
}

impl Chatrooms {
    /// The changes of the user's list, archived chatrooms included. The first event is [`Reset`](ListChange::Reset), unless the list is
    /// as it was at the event with the cursor `after`.
    pub async fn list_events(
        &self,
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
                let took = started.elapsed();
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
                        let (before, end) = (cursor(&old), cursor(&new));
                        let last = found.last().copied();
                        for batch in found.chunks(BATCH) {
                            // Repeats a read that failed, after `with_read_retry` has waited.
                            let changes = loop {
                                if let Some(read) = with_read_retry(|| chatrooms.list_changes(batch)).await? {
                                    break read;
                                }
                            };
                            for (difference, change) in changes {
                                // Only after the last change the client has the new state.
                                let cursor = if Some(difference) == last { &end } else { &before };
                                yield ListEvent { cursor: cursor.clone(), change };
                            }
                        }
                    }
                }
                sleep(took * REST).await;
                // The list is read after a signal and after the timeout alike.
                let _ = timeout(POLL_EVERY, signals.next()).await;
            }
        }
    }

    async fn list_versions(&self, user: UserId) -> Result<Versions> {
        Ok(chatrooms::versions_owned_by(self.db.read(), user).await?)
    }

    /// The changes with their chatrooms. One that was deleted meanwhile is left out; the next read reports it.
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
    fn differences_are_found_in_one_pass() {
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
