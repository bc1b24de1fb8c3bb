//! The version of a user's list of chatrooms. Every change of the list increments it in its transaction, and records it outside
//! the database before the change is answered; so what was cached under the current version is never older than the user's last
//! answered change.

use std::time::Duration;

use entity::UserId;
use tokio::time::Instant;

use super::Chatrooms;
use crate::{error::Result, store::users};

/// A version that took longer to read is not recorded: a later one may have been recorded and expired meanwhile.
const MAX_READ: Duration = Duration::from_secs(1);

impl Chatrooms {
    /// The current version of the user's list. The database is read only if the version is not recorded.
    pub async fn list_version(&self, user: UserId) -> Result<i64> {
        if let Some(version) = self.cache.version(&key(user)).await {
            return Ok(version);
        }
        let started = Instant::now();
        let version = users::chatrooms_version(self.db.read(), user).await?;
        if started.elapsed() < MAX_READ {
            self.record_list_version(user, version).await;
        }
        Ok(version)
    }

    /// Call after the commit of a change of the list, before the change is answered.
    pub(super) async fn record_list_version(&self, user: UserId, version: i64) {
        self.cache.record_version(&key(user), version).await;
    }
}

fn key(user: UserId) -> String {
    format!("chatrooms:{user}")
}
