//! Changes that an operator makes to one user: access, erasure, used quota and granted Pro.

use chrono::TimeDelta;
use entity::{
    SessionId, Timestamp, UserId, job,
    subscription::{self, State},
};

use super::{Admin, Author};
use crate::{
    domain::auth::{ERASE_ACCOUNT, PhoneNumber},
    error::{Error, Result},
    ports::signals::Topic,
    store::{admin, blocked_users, commit, jobs, sessions, subscriptions, users},
};

/// The longest time for which Pro can be granted: about ten years.
const MAX_GRANT: TimeDelta = TimeDelta::days(3660);

/// A change that ends all sessions of the user.
#[derive(Clone, Copy)]
enum AccessChange {
    RevokeSessions,
    Block,
    Erase,
}

impl AccessChange {
    /// The name of the change in the audit log.
    fn action(self) -> &'static str {
        match self {
            Self::RevokeSessions => "revoke-sessions",
            Self::Block => "block",
            Self::Erase => "erase",
        }
    }
}

impl Admin {
    /// The id of the user with this phone number.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find(&self, phone_number: &PhoneNumber) -> Result<UserId> {
        let found = users::id_of(self.db.read(), phone_number.as_str()).await?;
        found.ok_or(Error::NotFound("user"))
    }

    /// Blocks a user: all sessions end, and the user cannot sign in. Returns how many sessions ended.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn block(&self, author: &Author, user: UserId) -> Result<usize> {
        self.change_access(author, AccessChange::Block, user).await
    }

    /// Unblocks a user, who can then sign in.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user is not blocked.
    pub async fn unblock(&self, author: &Author, user: UserId) -> Result<()> {
        self.db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                if !blocked_users::delete(&tx, user).await? {
                    return Err(Error::NotFound("blocked user"));
                }
                self.record(&tx, author, "unblock", Some(user), None, &[]).await?;
                Ok(commit(tx).await?)
            })
            .await
    }

    /// Ends all sessions of a user. The user is not blocked and can sign in. Returns how many sessions ended.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn revoke_sessions(&self, author: &Author, user: UserId) -> Result<usize> {
        self.change_access(author, AccessChange::RevokeSessions, user).await
    }

    /// Erases a user, as if the user had deleted the account. Returns how many sessions ended.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn erase(&self, author: &Author, user: UserId) -> Result<usize> {
        self.change_access(author, AccessChange::Erase, user).await
    }

    /// Ends all sessions of a user and, if `change` is to do so, blocks or erases the user. Returns how many sessions ended.
    async fn change_access(&self, author: &Author, change: AccessChange, user: UserId) -> Result<usize> {
        let topics = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                users::locked(&tx, user).await?.ok_or(Error::NotFound("user"))?;
                let now = self.clock.now();
                let mut topics = Vec::new();
                match change {
                    AccessChange::RevokeSessions => {}
                    AccessChange::Block => blocked_users::insert(&tx, user, now).await?,
                    AccessChange::Erase => {
                        users::anonymize(&tx, user, now).await?;
                        let erasure = job::Model { user_id: Some(user), ..jobs::new(ERASE_ACCOUNT, now) };
                        jobs::insert(&tx, erasure).await?;
                        topics.push(Topic::Jobs);
                    }
                }
                let ended: Vec<SessionId> = sessions::end_all_owned_by(&tx, user).await?;
                topics.extend(ended.into_iter().map(Topic::Session));
                self.record(&tx, author, change.action(), Some(user), None, &topics).await?;
                commit(tx).await?;
                Ok(topics)
            })
            .await?;
        self.signal(&topics).await;
        Ok(topics.iter().filter(|topic| matches!(topic, Topic::Session(_))).count())
    }

    /// Sets the prompts and tokens that a user has used today to 0.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn reset_quota(&self, author: &Author, user: UserId) -> Result<()> {
        let topics = [Topic::Account(user)];
        self.db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                users::locked(&tx, user).await?.ok_or(Error::NotFound("user"))?;
                admin::reset_usage(&tx, user, self.quota.calendar.period(self.clock.now()).day).await?;
                self.record(&tx, author, "reset-quota", Some(user), None, &topics).await?;
                Ok(commit(tx).await?)
            })
            .await?;
        self.signal(&topics).await;
        Ok(())
    }

    /// Grants Pro until a time, whether or not the user has a Stripe subscription; with `None`, ends an earlier grant. A Stripe
    /// subscription is not changed. Returns when Pro ends, which is later than `until` if the subscription gives Pro for longer.
    ///
    /// # Errors
    /// [`Error::NotFound`]. [`Error::BadInput`] for a time that has passed or is too far away. [`Error::Conflict`] if the user's
    /// billing state changes at the same time.
    pub async fn grant_pro(
        &self,
        author: &Author,
        user: UserId,
        until: Option<Timestamp>,
    ) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        if until.is_some_and(|until| until <= now || until > now + MAX_GRANT) {
            let message = format!("until must be a time in the next {} days.", MAX_GRANT.num_days());
            return Err(Error::bad_input("until", message));
        }
        // With Pro, more jobs of the user may run at once, so a waiting one may be claimed now.
        let topics = [Topic::Account(user), Topic::Jobs];
        let pro_until = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                users::locked(&tx, user).await?.ok_or(Error::NotFound("user"))?;
                let stored = subscriptions::of_user(&tx, user).await?;
                let is_new = stored.is_none();
                let row = stored.unwrap_or_else(|| subscription::Model::without_customer(user, now));
                // No column stores until when the Stripe subscription alone gives Pro. The end of the paid period is used
                // instead, until the next sync computes the exact time. `UNIX_EPOCH` marks the state as stale, so that the
                // sync runs within minutes.
                let gives_pro = matches!(row.state, State::Active | State::Trialing | State::PastDue);
                let paid_until = row.current_period_end.filter(|_| gives_pro);
                let updated_at = if gives_pro { Timestamp::UNIX_EPOCH } else { row.updated_at };
                let pro_until = paid_until.max(until);
                let row = subscription::Model { granted_until: until, pro_until, updated_at, ..row };
                if is_new {
                    subscriptions::insert(&tx, row.clone()).await?;
                } else if !subscriptions::update_if_unchanged(&tx, &row).await? {
                    return Err(Error::Conflict("The billing state changed meanwhile; retry.".to_owned()));
                }
                let (action, subject) = match until {
                    Some(until) => ("grant-pro", Some(until.to_rfc3339())),
                    None => ("end-pro", None),
                };
                self.record(&tx, author, action, Some(user), subject, &topics).await?;
                commit(tx).await?;
                Ok(row.pro_until)
            })
            .await?;
        self.signal(&topics).await;
        Ok(pro_until)
    }
}
