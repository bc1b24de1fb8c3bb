//! The user's customer at Stripe: created once, kept like the user's profile, created again if Stripe has lost it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{Timestamp, UserId, job, subscription, user};
use ring::digest;

use super::Billing;
use crate::{
    error::{Error, Result},
    ports::payments::{self, CustomerProfile, NewCustomer, PaymentError},
    store::{commit, jobs, subscriptions, users},
};

/// The kind of the jobs that copy a user's profile to the user's Stripe customer.
pub const SYNC_CUSTOMER: &str = "sync_customer";

/// To be queued in the transaction that changes the profile of a customer.
#[must_use]
pub fn sync_customer_job(user: UserId, now: Timestamp) -> job::Model {
    job::Model { user_id: Some(user), ..jobs::new(SYNC_CUSTOMER, now) }
}

impl Billing {
    /// In every key that calls share: Stripe remembers an answer for a day, also if it was a fault.
    pub(super) fn this_minute(&self) -> String {
        (self.clock.now().timestamp() / 60).to_string()
    }

    /// The user's customer with Stripe, made at the first call: once, also by calls at the same time.
    pub(super) async fn customer(&self, user: UserId) -> Result<subscription::Model> {
        if let Some(known) = subscriptions::of_user(self.db.read(), user).await? {
            return Ok(known);
        }
        let (id, profile) = self.new_customer(user).await?;
        self.db.with_retry(|| self.store_customer(user, &id, &profile)).await?;
        self.stored_customer(user, &id).await
    }

    /// Stores the user's customer, and a job if the profile changed while it was being made. A change of the profile waits
    /// for the lock, and then finds the customer.
    async fn store_customer(&self, user: UserId, id: &str, sent: &CustomerProfile) -> Result<()> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let Some(account) = users::locked(&tx, user).await? else { return Ok(()) };
        let new = subscription::Model {
            user_id: user,
            stripe_customer_id: id.to_owned(),
            stripe_subscription_id: None,
            state: subscription::State::None,
            current_period_end: None,
            cancel_at_period_end: false,
            pro_until: None,
            updated_at: now,
            version: 0,
            reversal: None,
            reversed_at: None,
        };
        subscriptions::insert(&tx, new).await?;
        if profile_of(&account) != *sent {
            jobs::insert(&tx, sync_customer_job(user, now)).await?;
        }
        Ok(commit(tx).await?)
    }

    /// The user's customer as it is stored. One that was made and is not, since another call was faster or the account has
    /// been erased meanwhile, is nobody's.
    async fn stored_customer(&self, user: UserId, made: &str) -> Result<subscription::Model> {
        let stored = subscriptions::of_user(self.db.write(), user).await?;
        if stored.as_ref().is_none_or(|stored| stored.stripe_customer_id != made) {
            self.forget_customer(made).await?;
        }
        stored.ok_or(Error::NotFound("user"))
    }

    async fn new_customer(&self, user: UserId) -> Result<(String, CustomerProfile)> {
        let account = users::by_id(self.db.read(), user).await?.ok_or(Error::NotFound("user"))?;
        let profile = profile_of(&account);
        let sent = [&profile.email, &profile.full_name].map(|text| text.as_deref().unwrap_or_default());
        let new = NewCustomer {
            user,
            idempotency_key: key(&[&self.this_minute(), &user.to_string(), sent[0], sent[1]]),
            phone_number: account.phone_number,
            profile: profile.clone(),
        };
        Ok((self.payments()?.customer(new).await?, profile))
    }

    /// Does something for the user's customer. One that Stripe does not know any more, since it was deleted there or was
    /// of test mode, is made anew.
    pub(super) async fn as_customer<T, F: Future<Output = payments::Result<T>>>(
        &self,
        user: UserId,
        call: impl Fn(String) -> F,
    ) -> Result<T> {
        let known = self.customer(user).await?;
        match call(known.stripe_customer_id.clone()).await {
            Err(PaymentError::Missing(what)) if what == "customer" => {
                let (id, _) = self.new_customer(user).await?;
                tracing::warn!(%user, old = known.stripe_customer_id, new = id, "a customer is gone and made anew");
                let new = subscription::Model { stripe_customer_id: id.clone(), ..known };
                subscriptions::replace(self.db.write(), &new).await?;
                let stored = self.stored_customer(user, &id).await?;
                Ok(call(stored.stripe_customer_id).await?)
            }
            done => Ok(done?),
        }
    }

    /// Sends the user's profile to Stripe, and sends it again if it changed meanwhile: so the jobs of several changes may
    /// run in any order.
    ///
    /// # Errors
    /// Stripe or the database do not respond.
    pub async fn sync_customer(&self, user: UserId) -> Result<()> {
        let Some(payments) = &self.payments else { return Ok(()) };
        let mut sent = None;
        while let Some(account) = users::by_id(self.db.read(), user).await?
            && let Some(known) = subscriptions::of_user(self.db.read(), user).await?
        {
            let profile = profile_of(&account);
            if sent.replace(profile.clone()).as_ref() == Some(&profile) {
                break;
            }
            match payments.update_customer(&known.stripe_customer_id, profile).await {
                Ok(()) => {}
                // The next checkout makes another.
                Err(PaymentError::Missing(_)) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn profile_of(user: &user::Model) -> CustomerProfile {
    CustomerProfile { email: user.email.clone(), full_name: user.full_name.clone() }
}

/// An idempotency key for what these say.
pub(super) fn key(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, parts.join("\n").as_bytes()))
}
