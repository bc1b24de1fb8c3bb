//! A user's Stripe customer: created once, updated with the user's profile, recreated if it no longer exists at Stripe.

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

/// The job to insert in the transaction that changes a customer's profile.
#[must_use]
pub fn sync_customer_job(user: UserId, now: Timestamp) -> job::Model {
    job::Model { user_id: Some(user), ..jobs::new(SYNC_CUSTOMER, now) }
}

impl Billing {
    /// The current minute. It is part of every idempotency key that concurrent calls share, because Stripe repeats its first
    /// response to a key for a day, even a server error. With the minute in the key, Stripe repeats it for a minute only.
    pub(super) fn current_minute(&self) -> String {
        (self.clock.now().timestamp() / 60).to_string()
    }

    /// The user's row with its Stripe customer, which the first call creates. Of concurrent calls, the customer of one is kept.
    pub(super) async fn find_or_create_customer(&self, user: UserId) -> Result<subscription::Model> {
        if let Some(stored) = subscriptions::of_user(self.db.read(), user).await?
            && stored.customer().is_some()
        {
            return Ok(stored);
        }
        let (id, profile) = self.create_customer(user).await?;
        self.db.with_retry(|| self.insert_customer(user, &id, &profile)).await?;
        self.keep_stored_customer(user, &id).await
    }

    /// Stores the user's customer, and a job that updates the customer if the profile changed while the customer was created. A
    /// later change of the profile waits for the lock of the user's row and then finds the customer. Stores nothing if the
    /// account was deleted.
    async fn insert_customer(&self, user: UserId, id: &str, sent: &CustomerProfile) -> Result<()> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let Some(account) = users::locked(&tx, user).await? else { return Ok(()) };
        let new = subscription::Model {
            stripe_customer_id: id.to_owned(),
            ..subscription::Model::without_customer(user, now)
        };
        match subscriptions::of_user(&tx, user).await? {
            // A row without a customer exists because an operator has granted Pro. The grant is kept. No concurrent call changes
            // this row, because it would need the lock of the user's row.
            Some(granted) if granted.customer().is_none() => {
                let new = subscription::Model { stripe_customer_id: id.to_owned(), ..granted };
                subscriptions::update_if_unchanged(&tx, &new).await?;
            }
            // Does nothing if a concurrent call has stored a customer.
            _ => subscriptions::insert(&tx, new).await?,
        }
        if profile_of(&account) != *sent {
            jobs::insert(&tx, sync_customer_job(user, now)).await?;
        }
        Ok(commit(tx).await?)
    }

    /// Returns the user's stored row. Deletes the customer `new_id` at Stripe if the row has another customer, because a
    /// concurrent call was faster, or if there is no row, because the account was deleted.
    async fn keep_stored_customer(&self, user: UserId, new_id: &str) -> Result<subscription::Model> {
        let stored = subscriptions::of_user(self.db.write(), user).await?;
        if stored.as_ref().is_none_or(|stored| stored.stripe_customer_id != new_id) {
            self.delete_customer(new_id).await?;
        }
        stored.ok_or(Error::NotFound("user"))
    }

    /// Creates a customer at Stripe. Returns its id, and the profile that was sent.
    async fn create_customer(&self, user: UserId) -> Result<(String, CustomerProfile)> {
        let account = users::by_id(self.db.read(), user).await?.ok_or(Error::NotFound("user"))?;
        let profile = profile_of(&account);
        let [email, name] =
            [&profile.email, &profile.full_name].map(|text| text.as_deref().unwrap_or_default());
        let new = NewCustomer {
            user,
            idempotency_key: idempotency_key(&[&self.current_minute(), &user.to_string(), email, name]),
            phone_number: account.phone_number,
            profile: profile.clone(),
        };
        Ok((self.payments()?.create_customer(new).await?, profile))
    }

    /// Calls Stripe with the user's customer. If Stripe returns that the customer does not exist (it was deleted, or belongs to
    /// test mode), creates another customer and repeats the call.
    pub(super) async fn with_customer<T, F: Future<Output = payments::Result<T>>>(
        &self,
        user: UserId,
        call: impl Fn(String) -> F,
    ) -> Result<T> {
        let stored = self.find_or_create_customer(user).await?;
        match call(stored.stripe_customer_id.clone()).await {
            Err(PaymentError::Missing(param)) if param == "customer" => {
                let (id, _) = self.create_customer(user).await?;
                tracing::warn!(
                    %user,
                    old = stored.stripe_customer_id,
                    new = id,
                    "stripe customer does not exist; another was created"
                );
                let new = subscription::Model { stripe_customer_id: id.clone(), ..stored };
                // If the row has changed meanwhile, `keep_stored_customer` deletes the new customer.
                subscriptions::update_if_unchanged(self.db.write(), &new).await?;
                let stored = self.keep_stored_customer(user, &id).await?;
                Ok(call(stored.stripe_customer_id).await?)
            }
            result => Ok(result?),
        }
    }

    /// Sends the user's profile to Stripe, and repeats this until the profile has not changed meanwhile. The jobs of several
    /// changes may therefore run in any order.
    ///
    /// # Errors
    /// Stripe or the database does not respond.
    pub async fn sync_customer(&self, user: UserId) -> Result<()> {
        let Some(payments) = &self.payments else { return Ok(()) };
        let mut sent = None;
        while let Some(account) = users::by_id(self.db.read(), user).await?
            && let Some(stored) = subscriptions::of_user(self.db.read(), user).await?
            && let Some(customer) = stored.customer()
        {
            let profile = profile_of(&account);
            // Ends the loop once the stored profile equals the one that was sent last.
            if sent.replace(profile.clone()).as_ref() == Some(&profile) {
                break;
            }
            match payments.update_customer(customer, profile).await {
                Ok(()) => {}
                // The next checkout creates another customer.
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

/// An idempotency key that is the same for the same parts.
pub(super) fn idempotency_key(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, parts.join("\n").as_bytes()))
}
