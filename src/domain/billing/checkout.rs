//! Buying Pro.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::{UserId, checkout, subscription};
use ring::digest;

use super::{Billing, return_url::of_frontend, standing::is_live};
use crate::{
    error::{Error, Result},
    ports::payments::{self, Checkout, NewCheckout, NewCustomer, PaymentError},
    store::{checkouts, subscriptions, users},
};

const SUCCESS: &str = "/billing/success?session_id={CHECKOUT_SESSION_ID}";
const CANCEL: &str = "/billing/cancel";
/// What Stripe puts the session's id in place of.
const SESSION_ID: &str = "{CHECKOUT_SESSION_ID}";

impl Billing {
    /// Begins a checkout, or goes on with the one that is open: a user has one at most.
    ///
    /// # Errors
    /// [`Error::BillingNotConfigured`], [`Error::AlreadySubscribed`], [`Error::PaymentProvider`], and
    /// [`Error::BadInput`] for a URL that is not the front end's.
    pub async fn start_checkout(
        &self,
        user: UserId,
        success_url: Option<String>,
        cancel_url: Option<String>,
    ) -> Result<checkout::Model> {
        let missing = self.settings.missing();
        let (Some(frontend), Some(price), true) =
            (self.settings.frontend(), self.settings.price(), missing.is_empty())
        else {
            return Err(Error::BillingNotConfigured(missing));
        };
        let success_url = with_session_id(of_frontend(frontend, success_url, SUCCESS, "successUrl")?);
        let cancel_url = of_frontend(frontend, cancel_url, CANCEL, "cancelUrl")?;
        self.customer(user).await?;
        // A webhook may be late.
        if self.ask(user).await?.is_some_and(|now| is_live(now.state)) {
            return Err(Error::AlreadySubscribed);
        }
        let last = checkouts::last_of(self.db.read(), user).await?;
        let before = last.as_ref().map_or("", |last| &last.session_id).to_owned();
        if let Some(last) = last
            && last.status == checkout::Status::Open
            && (&*last.success_url, &*last.cancel_url, &*last.price_id) == (&success_url, &cancel_url, price)
        {
            return Ok(last);
        }
        let payments = self.payments()?;
        let begin = |customer: String| {
            payments.begin_checkout(NewCheckout {
                user,
                // Calls at the same time that are after the same get the same page.
                idempotency_key: key(&[
                    &self.this_minute(),
                    &before,
                    &customer,
                    price,
                    &success_url,
                    &cancel_url,
                ]),
                customer,
                price: price.to_owned(),
                success_url: success_url.clone(),
                cancel_url: cancel_url.clone(),
            })
        };
        let begun = self.as_customer(user, begin).await?;
        let Checkout { id, url: Some(url), status } = begun else {
            return Err(Error::PaymentProvider(anyhow::anyhow!("a new checkout has no URL")));
        };
        let checkout = checkout::Model {
            session_id: id,
            user_id: user,
            status,
            url,
            success_url,
            cancel_url,
            price_id: price.to_owned(),
            created_at: self.clock.now(),
        };
        checkouts::insert(self.db.write(), checkout).await?;
        self.leave_one_open(user).await
    }

    /// Ends all but the newest of a user's open checkouts, so that none is paid beside another.
    async fn leave_one_open(&self, user: UserId) -> Result<checkout::Model> {
        let newest = checkouts::last_of(self.db.write(), user).await?.ok_or(Error::NotFound("checkout"))?;
        for other in checkouts::open_of(self.db.write(), user).await? {
            if other.session_id == newest.session_id {
                continue;
            }
            if let Err(refused) = self.payments()?.expire_checkout(&other.session_id).await {
                tracing::info!(%user, error = %refused, "a checkout cannot be ended: perhaps it has just been paid");
                if self.ask(user).await?.is_some_and(|now| is_live(now.state)) {
                    return Err(Error::AlreadySubscribed);
                }
            }
            checkouts::end(self.db.write(), &other.session_id, checkout::Status::Expired).await?;
        }
        Ok(newest)
    }

    /// How a checkout of the user's stands: asked of Stripe for as long as it is not known to have ended. When it says
    /// COMPLETE, the subscription that it made is stored.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BillingNotConfigured`], [`Error::PaymentProvider`].
    pub async fn checkout_status(&self, user: UserId, session: &str) -> Result<checkout::Status> {
        let known = async || checkouts::owned_by(self.db.read(), user, session).await;
        let checkout = known().await?.ok_or(Error::NotFound("checkout"))?;
        if checkout.status != checkout::Status::Open {
            return Ok(checkout.status);
        }
        self.ask(user).await?;
        Ok(known().await?.ok_or(Error::NotFound("checkout"))?.status)
    }

    /// In every key that calls share: Stripe remembers an answer for a day, also if it was a fault.
    fn this_minute(&self) -> String {
        (self.clock.now().timestamp() / 60).to_string()
    }

    /// The user's customer with Stripe, made at the first call: once, also by calls at the same time.
    async fn customer(&self, user: UserId) -> Result<subscription::Model> {
        if let Some(known) = subscriptions::of_user(self.db.read(), user).await? {
            return Ok(known);
        }
        let id = self.new_customer(user).await?;
        let new = subscription::Model {
            user_id: user,
            stripe_customer_id: id.clone(),
            stripe_subscription_id: None,
            state: subscription::State::None,
            current_period_end: None,
            cancel_at_period_end: false,
            pro_until: None,
            updated_at: self.clock.now(),
            version: 0,
        };
        subscriptions::insert(self.db.write(), new).await?;
        self.stored_customer(user, &id).await
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

    async fn new_customer(&self, user: UserId) -> Result<String> {
        let account = users::by_id(self.db.read(), user).await?.ok_or(Error::NotFound("user"))?;
        let profile = [account.email.as_deref(), account.full_name.as_deref()].map(Option::unwrap_or_default);
        let new = NewCustomer {
            user,
            idempotency_key: key(&[&self.this_minute(), &user.to_string(), profile[0], profile[1]]),
            phone_number: account.phone_number,
            email: account.email,
            full_name: account.full_name,
        };
        Ok(self.payments()?.customer(new).await?)
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
                let id = self.new_customer(user).await?;
                tracing::warn!(%user, old = known.stripe_customer_id, new = id, "a customer is gone and made anew");
                let new = subscription::Model { stripe_customer_id: id.clone(), ..known };
                subscriptions::replace(self.db.write(), &new).await?;
                let stored = self.stored_customer(user, &id).await?;
                Ok(call(stored.stripe_customer_id).await?)
            }
            done => Ok(done?),
        }
    }
}

/// A success URL tells which checkout succeeded, whether it was asked to or not.
fn with_session_id(url: String) -> String {
    if url.contains(SESSION_ID) {
        return url;
    }
    let (base, fragment) = url
        .split_once('#')
        .map_or((url.as_str(), String::new()), |(base, fragment)| (base, format!("#{fragment}")));
    let joint = if base.contains('?') { '&' } else { '?' };
    format!("{base}{joint}session_id={SESSION_ID}{fragment}")
}

/// An idempotency key for what these say.
fn key(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, parts.join("\n").as_bytes()))
}
