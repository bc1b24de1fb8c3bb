//! Sharing a chatroom by link. A share shows the chatroom's active branch, as it was when it was shared, to everyone who has the
//! link. It is read-only.
//!
//! The link contains a token: the id of the share and a MAC (authentication tag) that only this installation can compute. The
//! token is not stored; it is computed from the id whenever the owner reads the link.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use entity::{ChatroomId, ShareId, Timestamp, UserId, chatroom, chatroom_share, message};
use sea_orm::ConnectionTrait;

use super::{
    auth::{Auth, Caller, Keys},
    chatrooms::{Chatrooms, IdempotencyKey, Idempotent, Request, store_key_or_find_result},
    publish::publish,
};
use crate::{
    error::{Error, Result},
    ports::{
        rate_limit::{Limit, RateLimit, Verdict},
        signals::Topic,
    },
    store::{
        chatrooms, commit,
        page::{Page, Window},
        shares,
    },
};

/// Maximum number of shares of one chatroom that have not expired.
pub const MAX_SHARES: u64 = 50;
/// Ten years, with the leap days.
const MAX_LIFETIME: TimeDelta = TimeDelta::days(3653);
/// Maximum number of shares that a user can create in an hour.
const SHARES_PER_HOUR: u32 = 60;

/// The use cases of shared chatrooms.
#[derive(Clone)]
pub struct Sharing {
    chatrooms: Chatrooms,
    limits: Arc<dyn RateLimit>,
    /// Maximum number of reads of shared chatrooms by one IPv4 address or IPv6 /64 network.
    reads_per_minute: u32,
    keys: Arc<Keys>,
    /// The beginning of every link: the URL of the front end, or an empty text.
    base_url: String,
}

/// A chatroom to share.
#[derive(Clone, Debug)]
pub struct NewShare {
    pub chatroom: ChatroomId,
    /// None: the share does not expire.
    pub expires_at: Option<Timestamp>,
    pub key: Option<IdempotencyKey>,
}

impl Sharing {
    /// Links begin with the URL of the front end; without one, they have only a path.
    #[must_use]
    pub fn new(auth: &Auth, chatrooms: Chatrooms, front_end: Option<&str>) -> Self {
        let (limits, keys) = (auth.limits.clone(), auth.keys.clone());
        let (reads_per_minute, base_url) =
            (auth.rates.share_address_limit.get(), front_end.unwrap_or_default());
        Self { chatrooms, limits, reads_per_minute, keys, base_url: base_url.to_owned() }
    }

    /// Shares the active branch of the user's chatroom, without replies that are still being written. A repeated idempotency key
    /// returns the first result.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadInput`] for a time in the past or too far ahead, [`Error::Conflict`] if the chatroom has
    /// too many shares or the key was used for another request, and [`Error::RateLimited`].
    pub async fn share(&self, user: UserId, new: NewShare) -> Result<chatroom_share::Model> {
        let now = self.chatrooms.clock.now();
        if new.expires_at.is_some_and(|time| time <= now || time > now + MAX_LIFETIME) {
            let problem = "expiresAt must be in the future and at most 10 years away.";
            return Err(Error::bad_input("expiresAt", problem));
        }
        let limit = Limit {
            key: format!("share:user:{user}"),
            max: SHARES_PER_HOUR,
            window: Duration::from_hours(1),
        };
        self.take_limit(limit).await?;
        match self.chatrooms.db.with_retry(|| self.insert_share(user, &new, now)).await? {
            Idempotent::New(share) => {
                self.publish_change(user, new.chatroom).await;
                Ok(share)
            }
            Idempotent::Repeated(id) => {
                let share = shares::owned_by(self.chatrooms.db.read(), user, ShareId(id)).await?;
                share.ok_or(Error::NotFound("share"))
            }
        }
    }

    /// Stores the share in one transaction, unless the idempotency key has been used.
    async fn insert_share(
        &self,
        user: UserId,
        new: &NewShare,
        now: Timestamp,
    ) -> Result<Idempotent<chatroom_share::Model>> {
        let id = ShareId::generate();
        let expires_at = new.expires_at.map_or(0, |time| time.timestamp_micros()).to_be_bytes();
        let parts = [new.chatroom.0.as_bytes().as_slice(), &expires_at];
        let request = Request { operation: "shareChatroom", parts: &parts };
        let key = new.key.clone().map(|key| request.key_row(user, key, id.0, now));
        let tx = self.chatrooms.db.begin().await?;
        if let Some(first_id) = store_key_or_find_result(&tx, key.as_ref()).await? {
            return Ok(Idempotent::Repeated(first_id));
        }
        let chatroom = mark_changed(&tx, user, new.chatroom).await?;
        if shares::count(&tx, chatroom.id, now).await? >= MAX_SHARES {
            let problem = format!("The chatroom has {MAX_SHARES} shares, which is the maximum: revoke one.");
            return Err(Error::Conflict(problem));
        }
        let share = chatroom_share::Model {
            id,
            user_id: user,
            chatroom_id: chatroom.id,
            title: chatroom.title,
            created_at: now,
            expires_at: new.expires_at,
        };
        // This also stores which messages the share shows.
        shares::insert(&tx, &share).await?;
        commit(tx).await?;
        Ok(Idempotent::New(share))
    }

    /// Revokes a share, so that its link no longer shows the chatroom.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke(&self, user: UserId, id: ShareId) -> Result<()> {
        const ABSENT: Error = Error::NotFound("share");
        let db = &self.chatrooms.db;
        let chatroom = shares::owned_by(db.read(), user, id).await?.ok_or(ABSENT)?.chatroom_id;
        let revoke = || async {
            let tx = db.begin().await?;
            mark_changed(&tx, user, chatroom).await?;
            if !shares::delete(&tx, id).await? {
                return Err(ABSENT);
            }
            Ok(commit(tx).await?)
        };
        db.with_retry(revoke).await?;
        self.publish_change(user, chatroom).await;
        Ok(())
    }

    /// The share whose token this is; none if it is unknown, revoked or expired.
    ///
    /// # Errors
    /// [`Error::RateLimited`]: `SHARE_ADDRESS_LIMIT` reads a minute per IPv4 address or IPv6 /64 network.
    pub async fn shared(&self, caller: &Caller, token: &str) -> Result<Option<chatroom_share::Model>> {
        let key = format!("shared:address:{}", caller.network());
        let limit = Limit { key, max: self.reads_per_minute, window: Duration::from_mins(1) };
        self.take_limit(limit).await?;
        let Some(id) = self.keys.share_of(token) else { return Ok(None) };
        let (db, now) = (&self.chatrooms.db, self.chatrooms.clock.now());
        Ok(shares::readable(db.read(), ShareId(id), now).await?)
    }

    /// A page of the messages of a share that [`shared`](Self::shared) has returned.
    pub async fn messages(&self, share: ShareId, window: &Window<i32>) -> Result<Page<message::Model>> {
        Ok(shares::page(self.chatrooms.db.read(), share, window).await?)
    }

    /// The token of a share.
    #[must_use]
    pub fn token(&self, share: &chatroom_share::Model) -> String {
        self.keys.share_token(share.id.0)
    }

    /// The URL of the page that shows the share.
    #[must_use]
    pub fn url(&self, share: &chatroom_share::Model) -> String {
        format!("{}/share/{}", self.base_url, self.token(share))
    }

    /// Counts one call against a rate limit.
    async fn take_limit(&self, limit: Limit) -> Result<()> {
        match self.limits.take(&[limit]).await.map_err(anyhow::Error::new)? {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Rejected { retry_after } => Err(Error::rate_limited(retry_after)),
        }
    }

    async fn publish_change(&self, user: UserId, chatroom: ChatroomId) {
        publish(&*self.chatrooms.signals, &[Topic::Chatroom(chatroom), Topic::Chatrooms(user)]).await;
    }
}

/// Locks the user's chatroom until the transaction ends, and increments its version, so that subscribers receive its new list of
/// shares.
async fn mark_changed(
    tx: &impl ConnectionTrait,
    user: UserId,
    chatroom: ChatroomId,
) -> Result<chatroom::Model> {
    let incremented = chatrooms::increment_version_if_owned_by(tx, user, chatroom, None).await?;
    let mut chatroom = incremented.ok_or(Error::NotFound("chatroom"))?;
    chatroom.changed_version = chatroom.version;
    chatrooms::save(tx, &chatroom).await?;
    Ok(chatroom)
}
