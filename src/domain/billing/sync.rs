//! Asking Stripe what is so.

use std::sync::Arc;

use chrono::TimeDelta;
use entity::{UserId, checkout, subscription};

use super::{Billing, state::standing};
use crate::{
    error::{Error, Result},
    ports::{
        payments::{PaymentError, Subscribed},
        signals::Topic,
    },
    store::{
        checkouts, commit, jobs, stripe_events,
        subscriptions::{self, Staleness},
    },
};

/// Readings that may be overtaken by newer ones before there must be something wrong.
const MOST_READINGS: u32 = 10;
/// How long nothing may be heard while something is to be expected, and while nothing is.
const SILENCE: TimeDelta = TimeDelta::hours(1);
const QUIET: TimeDelta = TimeDelta::days(1);
const MOST_SILENT: u64 = 20;

/// Those who are asked about at the same moment take turns, a stripe of users each.
pub type Turns = Arc<[tokio::sync::Mutex<()>; 64]>;

/// What Stripe says of a user who is a customer.
pub(super) struct Account {
    /// Those to Pro, ended ones included.
    pub(super) subscriptions: Vec<Subscribed>,
}

/// What a reading came to.
pub(super) enum Reading {
    /// Never a customer.
    Nobody,
    Stored(Account),
    /// Another was stored meanwhile, which may be newer.
    Overtaken,
}

impl Billing {
    /// Stores what Stripe says now of the user's checkouts and subscriptions, and that the user's events so far have been
    /// seen to. Nothing for somebody who never was a customer.
    ///
    /// # Errors
    /// [`Error::PaymentProvider`].
    pub(super) async fn ask(&self, user: UserId) -> Result<Option<Account>> {
        for _ in 0..MOST_READINGS {
            match self.read_once(user).await? {
                Reading::Nobody => return Ok(None),
                Reading::Stored(stored) => return Ok(Some(stored)),
                Reading::Overtaken => {}
            }
        }
        Err(Error::Internal(anyhow::anyhow!("the readings of {user}'s subscription were all overtaken")))
    }

    /// Asks once. In one process one at a time; of several processes' readings the first that is stored holds.
    pub(super) async fn read_once(&self, user: UserId) -> Result<Reading> {
        let _turn = self.turns[user.0.as_u128() as usize % self.turns.len()].lock().await;
        let payments = self.payments()?;
        let Some(row) = subscriptions::of_user(self.db.read(), user).await? else {
            return Ok(Reading::Nobody);
        };
        let customer = &row.stripe_customer_id;
        // Before Stripe is asked: what comes later is not seen to.
        let events = stripe_events::waiting(self.db.read(), customer).await?;
        // Before the subscriptions: one that a checkout made is among them then.
        let mut ended = Vec::new();
        for open in checkouts::open_of(self.db.read(), user).await? {
            let status = match payments.checkout(&open.session_id).await {
                Err(PaymentError::Missing(_)) => checkout::Status::Expired,
                now => now?.status,
            };
            if status != checkout::Status::Open {
                ended.push((open.session_id, status));
            }
        }
        let subscribed = match payments.subscriptions(customer).await {
            Err(PaymentError::Missing(_)) => Vec::new(),
            subscribed => subscribed?,
        };
        let subscriptions = self.only_pro(subscribed).await?;
        let new = standing(&subscriptions, row.clone(), self.clock.now());
        if !self.db.with_retry(|| self.store(&new, &events, &ended)).await? {
            return Ok(Reading::Overtaken);
        }
        if new != (subscription::Model { updated_at: new.updated_at, ..row }) {
            tracing::info!(%user, state = ?new.state, pro_until = ?new.pro_until, "a subscription changed");
            self.tell(Topic::Account(user)).await;
        }
        Ok(Reading::Stored(Account { subscriptions }))
    }

    /// The subscriptions to the configured price, or to another price of its product. Without a configured price, all.
    async fn only_pro(&self, subscriptions: Vec<Subscribed>) -> Result<Vec<Subscribed>> {
        let Some(price) = self.settings.price() else { return Ok(subscriptions) };
        let has_price = |one: &Subscribed| one.prices.iter().any(|known| known.id == price);
        if subscriptions.iter().all(has_price) {
            return Ok(subscriptions);
        }
        let product = self.product(price).await?;
        let has_product = |one: &Subscribed| {
            product.is_some() && one.prices.iter().any(|known| known.product.as_deref() == product)
        };
        Ok(subscriptions.into_iter().filter(|one| has_price(one) || has_product(one)).collect())
    }

    /// The product of the configured price, which never changes: asked for once.
    async fn product(&self, price: &str) -> Result<Option<&str>> {
        if let Some(product) = self.product.get() {
            return Ok(Some(product));
        }
        match self.payments()?.product_of(price).await {
            Ok(Some(product)) => Ok(Some(self.product.get_or_init(|| product))),
            Ok(None) | Err(PaymentError::Missing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a reading, unless another has been since its row was read.
    async fn store(
        &self,
        new: &subscription::Model,
        events: &[String],
        ended: &[(String, checkout::Status)],
    ) -> Result<bool> {
        let tx = self.db.begin().await?;
        if !subscriptions::replace(&tx, new).await? {
            return Ok(false);
        }
        for (session, status) in ended {
            checkouts::end(&tx, session, *status).await?;
        }
        stripe_events::mark(&tx, events, Some(new.updated_at)).await?;
        jobs::delete_for_events(&tx, events).await?;
        commit(tx).await?;
        Ok(true)
    }

    /// Asks about those of whom nothing has been heard for an hour though something is to be expected, and once a day about
    /// everybody who has a subscription.
    pub async fn ask_about_the_silent(&self) -> Result<()> {
        if self.payments.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let since = Staleness { expecting: now - SILENCE, subscribed: now - QUIET };
        for user in subscriptions::take_stale(self.db.write(), now, since, MOST_SILENT).await? {
            if let Err(error) = self.ask(user).await {
                tracing::warn!(%user, ?error, "Stripe could not be asked and will be in an hour");
            }
        }
        Ok(())
    }
}
