//! The version of a user's list of chatrooms. Every transaction that changes the list increments the version. The new version
//! is recorded in the cache before the response to the change is sent. What is cached under the current version is therefore
//! never older than the last change that was confirmed to the user.

use std::time::Duration;

use entity::UserId;
use tokio::time::Instant;

use super::Chatrooms;
use crate::{error::Result, store::users};

/// A version that took longer to read is not recorded: meanwhile, a later version may have been recorded and have expired.
const MAX_READ_TIME: Duration = Duration::from_secs(1);

impl Chatrooms {
    /// The current version of the user's list. The database is read only if the version is not recorded.
    pub async fn list_version(&self, user: UserId) -> Result<i64> {
        if let Some(version) = self.cache.version(&cache_key(user)).await {
            return Ok(version);
        }
        // Boxed, because few requests need this memory.
        Box::pin(self.read_list_version(user)).await
    }

    async fn read_list_version(&self, user: UserId) -> Result<i64> {
        let started = Instant::now();
        let version = users::chatrooms_version(self.db.read(), user).await?;
        if started.elapsed() < MAX_READ_TIME {
            self.cache_list_version(user, version).await;
        }
        Ok(version)
    }

    /// Records the version in the cache. Call this after the commit of a change of the list, before the response to the change is
    /// sent.
    pub(super) async fn cache_list_version(&self, user: UserId, version: i64) {
        self.cache.record_version(&cache_key(user), version).await;
    }

    /// Records the version that the database has. Call this before the response to a call that finds itself already carried out:
    /// the process that has done so may have died before it recorded the version.
    pub(super) async fn recache_list_version(&self, user: UserId) -> Result<()> {
        let version = users::chatrooms_version(self.db.read(), user).await?;
        self.cache_list_version(user, version).await;
        Ok(())
    }
}

fn cache_key(user: UserId) -> String {
    format!("chatrooms:{user}")
}
