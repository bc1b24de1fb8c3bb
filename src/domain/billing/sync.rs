//! Sync: reads the current state of a user's checkouts and subscriptions from Stripe and stores it.

use std::sync::Arc;

use chrono::TimeDelta;
use entity::{UserId, checkout, subscription};

use super::{Billing, state::derive_billing_state};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::{
        payments::{PaymentError, SubscriptionSnapshot},
        signals::Topic,
    },
    store::{
        checkouts, commit, jobs, stripe_events,
        subscriptions::{self, StaleBefore},
    },
};

/// How many syncs of one user are attempted if each is superseded. So many in a row indicate a fault.
const MAX_ATTEMPTS: u32 = 10;
/// The age at which a state is stale while a change is expected (see [`StaleBefore`]).
const MAX_AGE_EXPECTING: TimeDelta = TimeDelta::hours(1);
/// The age at which the state of any other subscription is stale.
const MAX_AGE: TimeDelta = TimeDelta::days(1);
/// Maximum number of users that one call of [`Billing::sync_stale`] syncs.
const STALE_BATCH: u64 = 20;

/// Locks that serialize the syncs of a user in one process. The user's id selects the lock; several users may share a lock.
pub type SyncLocks = Arc<[tokio::sync::Mutex<()>; 64]>;

/// The result of one sync.
pub(super) enum SyncResult {
    /// The user has no Stripe customer.
    NoCustomer,
    /// The state was stored. Contains the subscriptions to Pro, ended ones included.
    Stored(Vec<SubscriptionSnapshot>),
    /// The state was discarded, because the stored row has changed since this sync read it. The stored state may be newer.
    Superseded,
}

impl Billing {
    /// Stores the current state of the user's checkouts and subscriptions, and marks the events of the user that arrived before
    /// the sync as processed. Returns the subscriptions to Pro, ended ones included; none if the user has no Stripe customer.
    ///
    /// # Errors
    /// [`Error::PaymentProvider`].
    pub(super) async fn sync_with_stripe(&self, user: UserId) -> Result<Option<Vec<SubscriptionSnapshot>>> {
        for _ in 0..MAX_ATTEMPTS {
            match self.sync_once(user).await? {
                SyncResult::NoCustomer => return Ok(None),
                SyncResult::Stored(subscriptions) => return Ok(Some(subscriptions)),
                SyncResult::Superseded => {}
            }
        }
        Err(Error::Internal(anyhow::anyhow!("{MAX_ATTEMPTS} syncs of user {user} were superseded")))
    }

    /// Syncs once. In one process, a user's syncs run one at a time. Of concurrent syncs in several processes, only the first
    /// that stores its state succeeds.
    pub(super) async fn sync_once(&self, user: UserId) -> Result<SyncResult> {
        let _lock = self.sync_locks[user.0.as_u128() as usize % self.sync_locks.len()].lock().await;
        let payments = self.payments()?;
        let Some(row) = subscriptions::of_user(self.db.read(), user).await? else {
            return Ok(SyncResult::NoCustomer);
        };
        let Some(customer) = row.customer() else { return Ok(SyncResult::NoCustomer) };
        // The events are read before Stripe's state, because that state may not include the changes of events that arrive later.
        let events = stripe_events::unprocessed_of(self.db.read(), customer).await?;
        // The checkouts are read before the subscriptions, so that the subscriptions of completed checkouts are included.
        let mut ended_checkouts = Vec::new();
        for open in checkouts::open_of(self.db.read(), user).await? {
            let status = match payments.checkout(&open.session_id).await {
                Err(PaymentError::Missing(_)) => checkout::Status::Expired,
                current => current?.status,
            };
            if status != checkout::Status::Open {
                ended_checkouts.push((open.session_id, status));
            }
        }
        let subscriptions = match payments.subscriptions(customer).await {
            Err(PaymentError::Missing(_)) => Vec::new(),
            current => current?,
        };
        let subscriptions = self.only_pro(subscriptions).await?;
        let new = derive_billing_state(&subscriptions, row.clone(), self.clock.now());
        if !self.db.with_retry(|| self.store(&new, &events, &ended_checkouts)).await? {
            return Ok(SyncResult::Superseded);
        }
        if new != (subscription::Model { updated_at: new.updated_at, ..row }) {
            tracing::info!(%user, state = ?new.state, pro_until = ?new.pro_until, "billing state changed");
            publish(&*self.signals, &[Topic::Account(user)]).await;
        }
        Ok(SyncResult::Stored(subscriptions))
    }

    /// The subscriptions to the configured price or to another price of its product; all if no price is configured.
    async fn only_pro(&self, subscriptions: Vec<SubscriptionSnapshot>) -> Result<Vec<SubscriptionSnapshot>> {
        let Some(price_id) = self.settings.price() else { return Ok(subscriptions) };
        let has_price = |subscription: &SubscriptionSnapshot| {
            subscription.prices.iter().any(|price| price.id == price_id)
        };
        if subscriptions.iter().all(has_price) {
            return Ok(subscriptions);
        }
        let product = self.configured_price().await?.and_then(|price| price.product);
        let has_product = |subscription: &SubscriptionSnapshot| {
            product.is_some() && subscription.prices.iter().any(|price| price.product == product)
        };
        Ok(subscriptions
            .into_iter()
            .filter(|subscription| has_price(subscription) || has_product(subscription))
            .collect())
    }

    /// Stores the result of a sync. Returns false, and stores nothing, if the row has changed since this sync read it.
    async fn store(
        &self,
        new: &subscription::Model,
        events: &[String],
        ended_checkouts: &[(String, checkout::Status)],
    ) -> Result<bool> {
        let tx = self.db.begin().await?;
        if !subscriptions::update_if_unchanged(&tx, new).await? {
            return Ok(false);
        }
        for (session, status) in ended_checkouts {
            checkouts::end(&tx, session, *status).await?;
        }
        stripe_events::set_processed_at(&tx, events, Some(new.updated_at)).await?;
        jobs::delete_for_events(&tx, events).await?;
        commit(tx).await?;
        Ok(true)
    }

    /// Syncs some of the users whose state is stale: it was not synced for an hour while a change is expected, or for a day while
    /// there is a subscription.
    ///
    /// # Errors
    /// The database does not respond. A failed sync is only logged.
    pub async fn sync_stale(&self) -> Result<()> {
        if self.payments.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let before = StaleBefore { expecting: now - MAX_AGE_EXPECTING, subscribed: now - MAX_AGE };
        for user in subscriptions::take_stale(self.db.write(), now, before, STALE_BATCH).await? {
            if let Err(error) = self.sync_with_stripe(user).await {
                tracing::warn!(%user, ?error, "subscription sync failed; it will be retried");
            }
        }
        Ok(())
    }
}
