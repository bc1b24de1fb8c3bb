//! Subscribing to a chatroom. The subscribers of one chatroom in this process share its live events, which are read once.
//!
//! ```text
//!  subscribe ──► own updates: changes since a version, replies that are being written
//!                     ▲                 │ idle, at the version of the feed
//!                     │                 ▼
//!                     └─ lagged ─── the chatroom's feed: live events ──► all its subscribers
//! ```
//!
//! A subscriber or a feed is idle at a version if it has sent every change up to that version and no reply is being written. The
//! first subscriber that is idle hands its own updates over to a new feed. The feed ends with its last subscriber. A subscriber
//! that lags too far behind leaves the feed and reads its own updates, until it is idle again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_stream::try_stream;
use entity::{ChatroomId, UserId};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use tokio::sync::{Semaphore, broadcast};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{ChatroomChange, ChatroomEvent, Chatrooms, events::Update};
use crate::error::Result;

/// The number of events that a subscriber may lag behind its feed. A slower one reads the changes itself.
const CAPACITY: usize = 32;

type Updates = BoxStream<'static, Result<Update>>;

/// Locks the mutex, even if a task panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The feeds of the chatrooms that have subscribers in this process.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    feeds: Mutex<HashMap<ChatroomId, RunningFeed>>,
    /// The number of the next event that is shared.
    next_number: AtomicU64,
}

/// A feed and its task, which ends when this is dropped.
type RunningFeed = (Arc<Feed>, AbortOnDropHandle<()>);

#[derive(Debug)]
struct Feed {
    /// The version at which the feed is idle. None from an event until the feed is idle again.
    idle_at: Mutex<Option<i64>>,
    events: broadcast::Sender<Arc<ChatroomEvent>>,
}

/// A subscriber of a feed.
struct FeedSubscriber {
    feeds: Feeds,
    chatroom: ChatroomId,
    /// None only while this subscriber is being dropped.
    events: Option<broadcast::Receiver<Arc<ChatroomEvent>>>,
}

impl FeedSubscriber {
    /// The next event. None if the feed has ended, or has dropped events because the subscriber lags behind.
    async fn next(&mut self) -> Option<Arc<ChatroomEvent>> {
        self.events.as_mut()?.recv().await.ok()
    }
}

impl Drop for FeedSubscriber {
    fn drop(&mut self) {
        let mut feeds = lock(&self.feeds.0.feeds);
        // Drops the receiver under the lock, so that the count below does not include it.
        self.events = None;
        if feeds.get(&self.chatroom).is_some_and(|(feed, _)| feed.events.receiver_count() == 0) {
            feeds.remove(&self.chatroom);
        }
    }
}

impl Feeds {
    /// Subscribes to the chatroom's feed, for a subscriber whose own `updates` are idle at `version`. If there is no feed, starts
    /// one that continues these updates.
    ///
    /// # Errors
    /// Returns `updates` if the feed is not idle at this version; the subscriber then continues to read its own updates.
    fn join(
        &self,
        tasks: &TaskTracker,
        chatroom: ChatroomId,
        version: i64,
        updates: Updates,
    ) -> std::result::Result<FeedSubscriber, Updates> {
        let mut feeds = lock(&self.0.feeds);
        let subscriber = |events| FeedSubscriber { feeds: self.clone(), chatroom, events: Some(events) };
        if let Some((feed, _)) = feeds.get(&chatroom) {
            // The feed sends its events under this lock, so the new subscriber misses none.
            let idle_at = lock(&feed.idle_at);
            return if *idle_at == Some(version) {
                Ok(subscriber(feed.events.subscribe()))
            } else {
                Err(updates)
            };
        }
        let (sender, events) = broadcast::channel(CAPACITY);
        let feed = Arc::new(Feed { idle_at: Mutex::new(Some(version)), events: sender });
        let task = tasks.spawn(self.clone().run(chatroom, feed.clone(), updates));
        feeds.insert(chatroom, (feed, AbortOnDropHandle::new(task)));
        Ok(subscriber(events))
    }

    /// Sends updates to the subscribers of a feed until the updates end or fail.
    async fn run(self, chatroom: ChatroomId, feed: Arc<Feed>, mut updates: Updates) {
        while let Some(Ok(update)) = updates.next().await {
            let mut idle_at = lock(&feed.idle_at);
            match update {
                Update::Idle(version) => *idle_at = Some(version),
                Update::Event(event) => {
                    *idle_at = None;
                    let is_shared = feed.events.receiver_count() > 1;
                    let number = is_shared.then(|| self.0.next_number.fetch_add(1, Ordering::Relaxed));
                    // An error means that there are no subscribers.
                    let _ = feed.events.send(Arc::new(ChatroomEvent { number, ..event }));
                }
            }
        }
        let mut feeds = lock(&self.0.feeds);
        if feeds.get(&chatroom).is_some_and(|(current, _)| Arc::ptr_eq(current, &feed)) {
            feeds.remove(&chatroom);
        }
    }
}

impl Chatrooms {
    /// The events of the user's chatroom. With `after`, the changes since that version come first, in batches. `batches` has a
    /// permit for each batch that may be held at the same time.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Error::NotFound).
    pub async fn chatroom_events(
        self: &Arc<Self>,
        user: UserId,
        id: ChatroomId,
        after: Option<i64>,
        batches: Arc<Semaphore>,
    ) -> Result<impl Stream<Item = Result<Arc<ChatroomEvent>>> + Send + 'static> {
        let mut updates = self.updates(user, id, after, batches.clone()).await?;
        let chatrooms = self.clone();
        Ok(try_stream! {
            loop {
                let (mut version, mut subscriber) = loop {
                    match updates.next().await.transpose()? {
                        Some(Update::Event(event)) => yield Arc::new(event),
                        Some(Update::Idle(version)) => {
                            match chatrooms.feeds.join(&chatrooms.replies.tasks, id, version, updates) {
                                Ok(subscriber) => break (version, subscriber),
                                Err(own_updates) => updates = own_updates,
                            }
                        }
                        None => return,
                    }
                };
                while let Some(event) = subscriber.next().await {
                    version = event.version;
                    let is_deleted = matches!(event.change, ChatroomChange::Deleted(_));
                    yield event;
                    if is_deleted {
                        return;
                    }
                }
                // The feed has ended, or the subscriber lags behind it.
                drop(subscriber);
                updates = Box::pin(chatrooms.updates(user, id, Some(version), batches.clone())).await?;
            }
        })
    }
}
