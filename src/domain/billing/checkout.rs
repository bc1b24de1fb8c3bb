//! Buying Pro.

use entity::{UserId, checkout};

use super::{Billing, SESSION_ID, customer::key, return_url::of_frontend, state::is_live};
use crate::{
    domain::text::reject_nul,
    error::{Error, Result},
    ports::payments::{Checkout, NewCheckout, PaymentError},
    store::checkouts,
};

const SUCCESS: &str = "/billing/success?session_id={CHECKOUT_SESSION_ID}";
const CANCEL: &str = "/billing/cancel";

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
        self.make_room(user).await?;
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

    /// Cancels the subscriptions that wait for a payment (incomplete, unpaid, or paused since a trial ended without a card):
    /// they give nothing, and whoever buys again must not pay twice.
    ///
    /// # Errors
    /// [`Error::AlreadySubscribed`] if another one gives Pro or will again by itself.
    async fn make_room(&self, user: UserId) -> Result<()> {
        let Some(account) = self.ask(user).await? else { return Ok(()) };
        if account.subscriptions.iter().any(|one| is_live(one.state) && !one.may_be_replaced) {
            return Err(Error::AlreadySubscribed);
        }
        for waiting in account.subscriptions.iter().filter(|one| one.may_be_replaced) {
            match self.payments()?.cancel_subscription(&waiting.id).await {
                Ok(()) | Err(PaymentError::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
            tracing::info!(%user, subscription = waiting.id, state = ?waiting.state, "subscription replaced by a new checkout");
        }
        Ok(())
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
                self.make_room(user).await?;
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
        reject_nul("sessionId", session)?;
        let known = async || checkouts::owned_by(self.db.read(), user, session).await;
        let checkout = known().await?.ok_or(Error::NotFound("checkout"))?;
        if checkout.status != checkout::Status::Open {
            return Ok(checkout.status);
        }
        self.ask(user).await?;
        Ok(known().await?.ok_or(Error::NotFound("checkout"))?.status)
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
