//! Nested objects by the batch: one query a level, however many objects stand on it.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::dataloader::Loader;
use entity::{ChatroomId, MessageId, UserId, chatroom, message, subscription};

use crate::{
    domain::{
        billing::tiers::tier,
        chat::{Chat, Usage},
    },
    error::Error,
    store::{
        DbErr, chatrooms, jobs, messages,
        page::{Page, Window},
        subscriptions, usage,
    },
};

/// Fetches batches. Its keys come from objects that the viewer owns, so they are not checked again.
pub struct Batches {
    chat: Chat,
}

impl Batches {
    pub(super) fn new(chat: Chat) -> Self {
        Self { chat }
    }
}

/// The database did not answer for a whole batch.
#[derive(Clone, Debug)]
pub struct LoadError(Arc<DbErr>);

impl From<DbErr> for LoadError {
    fn from(cause: DbErr) -> Self {
        Self(Arc::new(cause))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Self::Internal(anyhow::Error::new(error.0).context("loading a batch"))
    }
}

type Loaded<K, V> = Result<HashMap<K, V>, LoadError>;

impl Loader<ChatroomId> for Batches {
    type Value = chatroom::Model;
    type Error = LoadError;

    async fn load(&self, ids: &[ChatroomId]) -> Loaded<ChatroomId, chatroom::Model> {
        let rooms = chatrooms::by_ids(self.chat.db.read(), ids).await?;
        Ok(rooms.into_iter().map(|room| (room.id, room)).collect())
    }
}

impl Loader<MessageId> for Batches {
    type Value = Arc<message::Model>;
    type Error = LoadError;

    async fn load(&self, ids: &[MessageId]) -> Loaded<MessageId, Arc<message::Model>> {
        let found = messages::by_ids(self.chat.db.read(), ids).await?;
        Ok(found.into_iter().map(|message| (message.id, Arc::new(message))).collect())
    }
}

/// A page of a room's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PageOf(pub(super) ChatroomId, pub(super) Window<i32>);

impl Loader<PageOf> for Batches {
    type Value = Page<message::Model>;
    type Error = LoadError;

    async fn load(&self, keys: &[PageOf]) -> Loaded<PageOf, Page<message::Model>> {
        let mut loaded = HashMap::new();
        // Rooms of one list are asked for the same window.
        for (window, rooms) in group(keys.iter().map(|PageOf(room, window)| (window.clone(), *room))) {
            let pages = messages::pages(self.chat.db.read(), &rooms, &window).await?;
            loaded.extend(pages.into_iter().map(|(room, page)| (PageOf(room, window.clone()), page)));
        }
        Ok(loaded)
    }
}

/// The messages that stand where this one could: those with the same parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum VersionsAt {
    After(MessageId),
    BeginningOf(ChatroomId),
}

impl Loader<VersionsAt> for Batches {
    type Value = Vec<Arc<message::Model>>;
    type Error = LoadError;

    async fn load(&self, places: &[VersionsAt]) -> Loaded<VersionsAt, Vec<Arc<message::Model>>> {
        let mut parents = Vec::new();
        let mut rooms = Vec::new();
        for place in places {
            match *place {
                VersionsAt::After(parent) => parents.push(parent),
                VersionsAt::BeginningOf(room) => rooms.push(room),
            }
        }
        let mut found = Vec::new();
        if !parents.is_empty() {
            found.extend(messages::children(self.chat.db.read(), &parents).await?);
        }
        if !rooms.is_empty() {
            found.extend(messages::roots(self.chat.db.read(), &rooms).await?);
        }
        Ok(group(found.into_iter().map(|message| {
            let place =
                message.parent_id.map_or(VersionsAt::BeginningOf(message.chatroom_id), VersionsAt::After);
            (place, Arc::new(message))
        })))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SubscriptionOf(pub(super) UserId);

impl Loader<SubscriptionOf> for Batches {
    type Value = subscription::Model;
    type Error = LoadError;

    async fn load(&self, keys: &[SubscriptionOf]) -> Loaded<SubscriptionOf, subscription::Model> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let found = subscriptions::of_users(self.chat.db.read(), &users).await?;
        Ok(found
            .into_iter()
            .map(|subscription| (SubscriptionOf(subscription.user_id), subscription))
            .collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct UsageOf(pub(super) UserId);

impl Loader<UsageOf> for Batches {
    type Value = Usage;
    type Error = LoadError;

    async fn load(&self, keys: &[UsageOf]) -> Loaded<UsageOf, Usage> {
        let now = self.chat.clock.now();
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let subscriptions = subscriptions::of_users(self.chat.db.read(), &users).await?;
        let used = usage::of_users(self.chat.db.read(), &users, now.date_naive()).await?;
        Ok(keys
            .iter()
            .map(|&key| {
                let subscription = subscriptions.iter().find(|subscription| subscription.user_id == key.0);
                let used = used.iter().find(|today| today.user_id == key.0).map_or(0, |today| today.used);
                (key, self.chat.usage_of(tier(subscription, now), used))
            })
            .collect())
    }
}

/// The user's replies that wait to be written, the next first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct QueueOf(pub(super) UserId);

impl Loader<QueueOf> for Batches {
    type Value = Vec<MessageId>;
    type Error = LoadError;

    async fn load(&self, keys: &[QueueOf]) -> Loaded<QueueOf, Vec<MessageId>> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let queued = jobs::queue_of(self.chat.db.read(), &users).await?;
        Ok(group(queued.into_iter().map(|(user, reply)| (QueueOf(user), reply))))
    }
}

fn group<K: Eq + Hash, V>(pairs: impl Iterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}
