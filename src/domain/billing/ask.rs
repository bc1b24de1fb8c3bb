//! Asking Stripe what is so.

use chrono::TimeDelta;
use entity::{UserId, checkout, subscription};

use super::{Billing, standing::standing};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{checkouts, commit, stripe_events, subscriptions},
};

/// Readings that may be overtaken by newer ones before there must be something wrong.
const MOST_READINGS: u32 = 10;
/// How long nothing may be heard of what should have changed.
const SILENCE: TimeDelta = TimeDelta::hours(1);
const MOST_SILENT: u64 = 20;

impl Billing {
    /// Stores what Stripe says now of the user's checkouts and subscriptions, and that the user's events so far have been
    /// seen to. Nothing for somebody who never was a customer.
    ///
    /// # Errors
    /// [`Error::PaymentProvider`].
    pub(super) async fn ask(&self, user: UserId) -> Result<Option<subscription::Model>> {
        for _ in 0..MOST_READINGS {
            let Some(row) = subscriptions::of_user(self.db.read(), user).await? else { return Ok(None) };
            if let Some(stored) = self.db.again(|| self.ask_once(&row)).await? {
                return Ok(Some(stored));
            }
        }
        Err(Error::Internal(anyhow::anyhow!("the readings of {user}'s subscription were all overtaken")))
    }

    /// None: another reading has been stored meanwhile, which may be newer.
    async fn ask_once(&self, row: &subscription::Model) -> Result<Option<subscription::Model>> {
        let payments = self.payments()?;
        let customer = &row.stripe_customer_id;
        // Before Stripe is asked: what comes later is not seen to.
        let events = stripe_events::waiting(self.db.read(), customer).await?;
        // Before the subscriptions: one that a checkout made is among them then.
        let mut ended = Vec::new();
        for open in checkouts::open_of(self.db.read(), row.user_id).await? {
            let now = payments.checkout(&open.session_id).await?;
            if now.status != checkout::Status::Open {
                ended.push(now);
            }
        }
        let new = standing(&payments.subscriptions(customer).await?, row.clone(), self.clock.now());

        let tx = self.db.begin().await?;
        if !subscriptions::replace(&tx, &new).await? {
            return Ok(None);
        }
        for ended in ended {
            checkouts::end(&tx, &ended.id, ended.status).await?;
        }
        stripe_events::mark(&tx, &events, Some(new.updated_at)).await?;
        commit(tx).await?;
        if new != (subscription::Model { updated_at: new.updated_at, ..row.clone() }) {
            tracing::info!(user = %row.user_id, state = ?new.state, pro_until = ?new.pro_until, "a subscription changed");
            self.tell(Topic::Account(row.user_id)).await;
        }
        Ok(Some(new))
    }

    /// Asks about those of whom Stripe should have told something and has not: whose checkout is still open, and whose
    /// period has ended.
    pub async fn ask_about_the_silent(&self) -> Result<()> {
        if self.payments.is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        let silent = subscriptions::take_silent(self.db.write(), now, now - SILENCE, MOST_SILENT).await?;
        for user in silent {
            if let Err(error) = self.ask(user).await {
                tracing::warn!(%user, ?error, "Stripe could not be asked and will be in an hour");
            }
        }
        Ok(())
    }
}
