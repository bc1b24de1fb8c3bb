//! Buying Pro.

use entity::{UserId, checkout, subscription, user};
use ring::digest;

use super::{Billing, return_url::of_frontend, standing::is_live};
use crate::{
    error::{Error, Result},
    ports::payments::{Checkout, NewCheckout, NewCustomer},
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
        let customer = self.customer(user).await?;
        // A webhook may be late.
        let subscription = self.ask(user).await?.unwrap_or(customer);
        if is_live(subscription.state) {
            return Err(Error::AlreadySubscribed);
        }
        let last = checkouts::last_of(self.db.read(), user).await?;
        let open = last.as_ref().filter(|last| last.status == checkout::Status::Open);
        if let Some(open) = open {
            if (&open.success_url, &open.cancel_url, open.price_id.as_str())
                == (&success_url, &cancel_url, price)
            {
                return Ok(open.clone());
            }
            self.end_checkout(user, open).await?;
        }
        let new = NewCheckout {
            user,
            customer: subscription.stripe_customer_id,
            price: price.to_owned(),
            // Calls at the same time are after the same one, and get the same page.
            idempotency_key: key(&[
                "checkout",
                &user.to_string(),
                last.as_ref().map_or("", |last| &last.session_id),
                &self.this_hour(),
                price,
                &success_url,
                &cancel_url,
            ]),
            success_url,
            cancel_url,
        };
        let begun = self.payments()?.begin_checkout(new.clone()).await?;
        let Checkout { id, url: Some(url), .. } = begun else {
            return Err(Error::PaymentProvider(anyhow::anyhow!("a new checkout has no URL")));
        };
        let checkout = checkout::Model {
            session_id: id,
            user_id: user,
            status: begun.status,
            url,
            success_url: new.success_url,
            cancel_url: new.cancel_url,
            price_id: new.price,
            created_at: self.clock.now(),
        };
        checkouts::insert(self.db.write(), checkout.clone()).await?;
        Ok(checkout)
    }

    /// So that it cannot be paid beside the next one.
    async fn end_checkout(&self, user: UserId, open: &checkout::Model) -> Result<()> {
        match self.payments()?.expire_checkout(&open.session_id).await {
            Ok(()) => {
                let expired = checkout::Status::Expired;
                Ok(checkouts::end(self.db.write(), &open.session_id, expired).await?)
            }
            // It has ended by itself: perhaps somebody has just paid.
            Err(refused) => match self.ask(user).await? {
                Some(now) if is_live(now.state) => Err(Error::AlreadySubscribed),
                _ if checkouts::open_of(self.db.read(), user).await?.is_empty() => Ok(()),
                _ => Err(refused.into()),
            },
        }
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

    /// In every key: Stripe remembers an answer for a day, also if it was a fault.
    fn this_hour(&self) -> String {
        (self.clock.now().timestamp() / 3600).to_string()
    }

    /// The user's customer with Stripe, made at the first call: once, also by calls at the same time.
    pub(super) async fn customer(&self, user: UserId) -> Result<subscription::Model> {
        if let Some(known) = subscriptions::of_user(self.db.read(), user).await? {
            return Ok(known);
        }
        let account = users::by_id(self.db.read(), user).await?.ok_or(Error::NotFound("user"))?;
        let id = self.payments()?.customer(new_customer(account, &self.this_hour())).await?;
        let new = subscription::Model {
            user_id: user,
            stripe_customer_id: id,
            stripe_subscription_id: None,
            state: subscription::State::None,
            current_period_end: None,
            cancel_at_period_end: false,
            pro_until: None,
            updated_at: self.clock.now(),
            version: 0,
        };
        subscriptions::insert(self.db.write(), new).await?;
        let stored = subscriptions::of_user(self.db.write(), user).await?;
        stored.ok_or_else(|| anyhow::anyhow!("a customer was not stored").into())
    }
}

fn new_customer(account: user::Model, hour: &str) -> NewCustomer {
    NewCustomer {
        user: account.id,
        phone_number: account.phone_number,
        email: account.email,
        full_name: account.full_name,
        idempotency_key: key(&["customer", &account.id.to_string(), hour]),
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
    let digest = digest::digest(&digest::SHA256, parts.join("\n").as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
