//! Deleting chatrooms, at the request of their owner or because they were temporary.

use chrono::TimeDelta;
use entity::{ChatroomId, Timestamp, UserId};
use futures_util::future::join_all;

use super::Chatrooms;
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{chatrooms, commit, messages, users},
};

/// How many chatrooms are deleted in one transaction. It is a small number, because on SQLite other writes wait meanwhile.
const BATCH: u64 = 20;
/// How long a temporary chatroom lives after its last activity.
pub const TEMPORARY_LIFETIME: TimeDelta = TimeDelta::hours(24);

impl Chatrooms {
    /// Deletes a chatroom and its messages. Its queued and streaming replies end, and their subscribers are notified.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_chatroom(&self, user: UserId, id: ChatroomId) -> Result<()> {
        match self.delete_batch(user, &[id], None).await? {
            0 => {
                self.recache_list_version(user).await?;
                Err(Error::NotFound("chatroom"))
            }
            _ => Ok(()),
        }
    }

    /// Deletes all chatrooms of the user, in several transactions. Returns how many it has deleted.
    pub async fn delete_chatrooms(&self, user: UserId) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let ids = chatrooms::some_owned_by(self.db.write(), user, BATCH).await?;
            if ids.is_empty() {
                self.recache_list_version(user).await?;
                return Ok(deleted);
            }
            deleted += self.delete_batch(user, &ids, None).await?;
        }
    }

    /// Deletes the temporary chatrooms that had no activity for `TEMPORARY_LIFETIME`. Returns how many it has deleted.
    pub async fn delete_expired_chatrooms(&self) -> Result<u64> {
        let before = self.clock.now() - TEMPORARY_LIFETIME;
        let mut deleted = 0;
        loop {
            let expired = chatrooms::expired(self.db.write(), before, BATCH).await?;
            if expired.is_empty() {
                return Ok(deleted);
            }
            for (id, user) in expired {
                deleted += self.delete_batch(user, &[id], Some(before)).await?;
            }
        }
    }

    /// Deletes those of these chatrooms that belong to the user, in one transaction; with `inactive_since`, only chatrooms
    /// without activity since then. Returns how many it has deleted.
    async fn delete_batch(
        &self,
        user: UserId,
        ids: &[ChatroomId],
        inactive_since: Option<Timestamp>,
    ) -> Result<u64> {
        let delete = || async {
            let tx = self.db.begin().await?;
            let unfinished = messages::unfinished(&tx, ids).await?;
            let deleted = chatrooms::delete_owned_by(&tx, user, ids, inactive_since).await?;
            if deleted == 0 {
                tx.rollback().await?;
                return Ok((0, Vec::new()));
            }
            let list_version = users::increment_list_version(&tx, user).await?;
            commit(tx).await?;
            self.cache_list_version(user, list_version).await;
            Ok((deleted, unfinished))
        };
        let (deleted, unfinished) = self.db.with_retry(delete).await?;
        if deleted > 0 {
            join_all(unfinished.iter().map(|reply| self.replies.end_log(reply.id))).await;
            let chatrooms = ids.iter().map(|&id| Topic::Chatroom(id));
            // The jobs of the chatrooms were deleted, too, so the caps may now permit another job of the user.
            let topics: Vec<_> = chatrooms.chain([Topic::Chatrooms(user), Topic::Jobs]).collect();
            publish(&*self.signals, &topics).await;
        }
        Ok(deleted)
    }
}
