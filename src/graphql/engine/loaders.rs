//! Loads nested objects in batches. The number of database queries therefore depends on the fields of a document, and not on
//! the number of objects.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::dataloader::Loader;
use entity::{
    ChatroomId, MessageId, SessionId, UserId, chatroom, chatroom_share, daily_usage, message, session,
    subscription,
};

use crate::{
    domain::{
        billing::tiers::tier,
        quota::{PromptBudget, Quota},
    },
    error::{Error, LimitExceeded},
    graphql::engine::memory::RequestMemory,
    store::{
        Db, DbErr, chatrooms, jobs,
        messages::{self, VersionsAt},
        page::{Page, Window},
        sessions, shares, subscriptions, usage,
    },
};

/// Loads batches of objects. Keys other than [`Owned`] come from objects that the viewer is known to own, so their ownership is
/// not checked again.
pub struct Batches {
    db: Db,
    quota: Quota,
    memory: Arc<RequestMemory>,
}

impl Batches {
    pub fn new(db: Db, quota: Quota, memory: Arc<RequestMemory>) -> Self {
        Self { db, quota, memory }
    }
}

/// Why a whole batch was not loaded.
#[derive(Clone, Debug)]
pub enum LoadError {
    /// The database failed.
    Database(Arc<DbErr>),
    /// The request has read more than its limit.
    LimitExceeded(LimitExceeded),
    /// The requests of the user, or of the process, hold more memory than their limit.
    Busy { retry_after_secs: u64 },
}

impl From<DbErr> for LoadError {
    fn from(cause: DbErr) -> Self {
        Self::Database(Arc::new(cause))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(cause) => {
                Self::Internal(anyhow::Error::new(cause).context("failed to load a batch"))
            }
            LoadError::LimitExceeded(exceeded) => Self::LimitExceeded(exceeded),
            LoadError::Busy { retry_after_secs } => Self::RateLimited { retry_after_secs },
        }
    }
}

impl Batches {
    /// Counts the bytes of a row as memory of the request.
    fn count_read(&self, bytes: usize) -> Result<(), LoadError> {
        match self.memory.count_read(bytes) {
            Err(Error::LimitExceeded(exceeded)) => Err(LoadError::LimitExceeded(exceeded)),
            Err(Error::RateLimited { retry_after_secs }) => Err(LoadError::Busy { retry_after_secs }),
            // `count_read` returns no other error.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the function that counts each message as soon as it has been read. If the function returns an error, no further
    /// message is read.
    fn admit(&self) -> impl Fn(&message::Model) -> Result<(), LoadError> + use<'_> {
        |message| self.count_read(messages::size_of(message))
    }
}

type Loaded<K, V> = Result<HashMap<K, V>, LoadError>;

/// The key of an object that is loaded only if it belongs to this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owned<T>(pub UserId, pub T);

impl Loader<Owned<ChatroomId>> for Batches {
    type Value = chatroom::Model;
    type Error = LoadError;

    async fn load(&self, keys: &[Owned<ChatroomId>]) -> Loaded<Owned<ChatroomId>, chatroom::Model> {
        let mut loaded = HashMap::new();
        for (user, ids) in group(keys.iter().map(|&Owned(user, id)| (user, id))) {
            let chatrooms = chatrooms::owned_by_ids(self.db.read(), user, &ids).await?;
            chatrooms.iter().try_for_each(|chatroom| self.count_read(chatrooms::size_of(chatroom)))?;
            loaded.extend(chatrooms.into_iter().map(|chatroom| (Owned(user, chatroom.id), chatroom)));
        }
        Ok(loaded)
    }
}

impl Loader<Owned<MessageId>> for Batches {
    type Value = Arc<message::Model>;
    type Error = LoadError;

    async fn load(&self, keys: &[Owned<MessageId>]) -> Loaded<Owned<MessageId>, Arc<message::Model>> {
        let mut loaded = HashMap::new();
        for (user, ids) in group(keys.iter().map(|&Owned(user, id)| (user, id))) {
            let messages = messages::owned_by_ids(self.db.read(), user, &ids, self.admit()).await?;
            loaded.extend(messages.into_iter().map(|message| (Owned(user, message.id), Arc::new(message))));
        }
        Ok(loaded)
    }
}

impl Loader<Owned<SessionId>> for Batches {
    type Value = session::Model;
    type Error = LoadError;

    async fn load(&self, keys: &[Owned<SessionId>]) -> Loaded<Owned<SessionId>, session::Model> {
        let mut loaded = HashMap::new();
        for (user, ids) in group(keys.iter().map(|&Owned(user, id)| (user, id))) {
            let sessions = sessions::owned_by(self.db.read(), user, self.quota.clock.now()).await?;
            let requested = sessions.into_iter().filter(|session| ids.contains(&session.id));
            loaded.extend(requested.map(|session| (Owned(user, session.id), session)));
        }
        Ok(loaded)
    }
}

impl Loader<ChatroomId> for Batches {
    type Value = chatroom::Model;
    type Error = LoadError;

    async fn load(&self, ids: &[ChatroomId]) -> Loaded<ChatroomId, chatroom::Model> {
        let chatrooms = chatrooms::by_ids(self.db.read(), ids).await?;
        chatrooms.iter().try_for_each(|chatroom| self.count_read(chatrooms::size_of(chatroom)))?;
        Ok(chatrooms.into_iter().map(|chatroom| (chatroom.id, chatroom)).collect())
    }
}

impl Loader<MessageId> for Batches {
    type Value = Arc<message::Model>;
    type Error = LoadError;

    async fn load(&self, ids: &[MessageId]) -> Loaded<MessageId, Arc<message::Model>> {
        let found = messages::by_ids(self.db.read(), ids, self.admit()).await?;
        Ok(found.into_iter().map(|message| (message.id, Arc::new(message))).collect())
    }
}

/// A page of a chatroom's active branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageOf(pub ChatroomId, pub Window<i32>);

impl Loader<PageOf> for Batches {
    type Value = Page<Arc<message::Model>>;
    type Error = LoadError;

    async fn load(&self, keys: &[PageOf]) -> Loaded<PageOf, Page<Arc<message::Model>>> {
        let mut loaded = HashMap::new();
        // The chatrooms of a list usually have the same window, so one query reads the pages of all of them.
        let by_window = group(keys.iter().map(|PageOf(chatroom, window)| (window.clone(), *chatroom)));
        for (window, chatrooms) in by_window {
            let pages = messages::pages(self.db.read(), &chatrooms, &window, self.admit()).await?;
            loaded.extend(pages.into_iter().map(|(chatroom, page)| (PageOf(chatroom, window.clone()), page)));
        }
        Ok(loaded)
    }
}

/// A page of the alternatives of one message, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionsOf {
    /// The position in the chatroom that the alternatives share.
    pub position: VersionsAt,
    /// The maximum number of alternatives; the newest ones are loaded.
    pub limit: usize,
    /// If given, only alternatives older than this message are loaded.
    pub before: Option<MessageId>,
}

impl Loader<VersionsOf> for Batches {
    type Value = Vec<Arc<message::Model>>;
    type Error = LoadError;

    async fn load(&self, keys: &[VersionsOf]) -> Loaded<VersionsOf, Vec<Arc<message::Model>>> {
        let mut loaded = Vec::new();
        let by_window = group(keys.iter().map(|key| ((key.limit, key.before), key.position)));
        for ((limit, before), positions) in by_window {
            let found = messages::versions(self.db.read(), &positions, limit, before, self.admit()).await?;
            loaded.extend(found.into_iter().map(|message| {
                (VersionsOf { position: VersionsAt::of(&message), limit, before }, Arc::new(message))
            }));
        }
        Ok(group(loaded.into_iter()))
    }
}

/// The user's subscription to the Pro tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionOf(pub UserId);

impl Loader<SubscriptionOf> for Batches {
    type Value = subscription::Model;
    type Error = LoadError;

    async fn load(&self, keys: &[SubscriptionOf]) -> Loaded<SubscriptionOf, subscription::Model> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let found = subscriptions::of_users(self.db.read(), &users).await?;
        Ok(found
            .into_iter()
            .map(|subscription| (SubscriptionOf(subscription.user_id), subscription))
            .collect())
    }
}

/// The prompts that the user has used today, and the user's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsageOf(pub UserId);

impl Loader<UsageOf> for Batches {
    type Value = PromptBudget;
    type Error = LoadError;

    async fn load(&self, keys: &[UsageOf]) -> Loaded<UsageOf, PromptBudget> {
        let now = self.quota.clock.now();
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let subscriptions = subscriptions::of_users(self.db.read(), &users).await?;
        let usage_today =
            usage::of_users(self.db.read(), &users, self.quota.calendar.period(now).day).await?;
        Ok(keys
            .iter()
            .map(|&key| {
                let subscription = subscriptions.iter().find(|subscription| subscription.user_id == key.0);
                let used = usage_today.iter().find(|row| row.user_id == key.0).map_or(0, |row| row.used);
                (key, self.quota.prompt_budget(tier(subscription, now), used))
            })
            .collect())
    }
}

/// The user's usage on each day since the beginning of the month or of the visible history, whichever is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecentUsageOf(pub UserId);

impl Loader<RecentUsageOf> for Batches {
    type Value = Vec<daily_usage::Model>;
    type Error = LoadError;

    async fn load(&self, keys: &[RecentUsageOf]) -> Loaded<RecentUsageOf, Vec<daily_usage::Model>> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let rows = usage::since(self.db.read(), &users, self.quota.history_from()).await?;
        Ok(group(rows.into_iter().map(|row| (RecentUsageOf(row.user_id), row))))
    }
}

/// The user's replies that are queued or being written, in the order in which workers claim them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueOf(pub UserId);

impl Loader<QueueOf> for Batches {
    type Value = Vec<MessageId>;
    type Error = LoadError;

    async fn load(&self, keys: &[QueueOf]) -> Loaded<QueueOf, Vec<MessageId>> {
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let queued = jobs::queue_of(self.db.read(), &users).await?;
        Ok(group(queued.into_iter().map(|(user, reply)| (QueueOf(user), reply))))
    }
}

/// The shares of a chatroom that have not expired, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SharesOf(pub ChatroomId);

impl Loader<SharesOf> for Batches {
    type Value = Vec<chatroom_share::Model>;
    type Error = LoadError;

    async fn load(&self, keys: &[SharesOf]) -> Loaded<SharesOf, Vec<chatroom_share::Model>> {
        let chatrooms: Vec<ChatroomId> = keys.iter().map(|key| key.0).collect();
        let found = shares::of_chatrooms(self.db.read(), &chatrooms, self.quota.clock.now()).await?;
        found.iter().try_for_each(|share| self.count_read(size_of_val(share) + share.title.len()))?;
        Ok(group(found.into_iter().map(|share| (SharesOf(share.chatroom_id), share))))
    }
}

fn group<K: Eq + Hash, V>(pairs: impl Iterator<Item = (K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in pairs {
        groups.entry(key).or_default().push(value);
    }
    groups
}
