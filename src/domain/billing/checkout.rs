//! Checkouts. A user who buys Pro starts one; at most one checkout per user is open.

use entity::{UserId, checkout};

use super::{
    Billing, SESSION_ID_PLACEHOLDER, customer::idempotency_key, return_url::return_url_or_default,
    state::is_billable,
};
use crate::{
    domain::text::reject_nul,
    error::{Error, Result},
    ports::payments::{CheckoutSession, NewCheckout, PaymentError},
    store::checkouts,
};

const DEFAULT_SUCCESS_PATH: &str = "/billing/success?session_id={CHECKOUT_SESSION_ID}";
const DEFAULT_CANCEL_PATH: &str = "/billing/cancel";

impl Billing {
    /// Starts a checkout, or returns the open one if it has the same price and URLs.
    ///
    /// # Errors
    /// [`Error::BillingNotConfigured`], [`Error::AlreadySubscribed`], [`Error::PaymentProvider`], [`Error::NotFound`] if the
    /// account was deleted, and [`Error::BadInput`] for an invalid URL.
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
        let success_url = with_session_id(return_url_or_default(
            frontend,
            success_url,
            DEFAULT_SUCCESS_PATH,
            "successUrl",
        )?);
        let cancel_url = return_url_or_default(frontend, cancel_url, DEFAULT_CANCEL_PATH, "cancelUrl")?;
        self.find_or_create_customer(user).await?;
        // This syncs with Stripe first, because the webhook of an earlier payment may be late.
        self.reject_if_subscribed_and_cancel_unpaid(user).await?;
        let newest = checkouts::newest_of(self.db.read(), user).await?;
        let previous_session = newest.as_ref().map_or("", |newest| &newest.session_id).to_owned();
        if let Some(newest) = newest
            && newest.status == checkout::Status::Open
            && (&*newest.success_url, &*newest.cancel_url, &*newest.price_id)
                == (&success_url, &cancel_url, price)
        {
            return Ok(newest);
        }
        let payments = self.payments()?;
        let create = |customer: String| {
            payments.create_checkout(NewCheckout {
                user,
                // Concurrent calls with the same arguments have the same key, so that Stripe returns one session to all of them.
                // Later calls have another key, which contains the id of that session, and so do not get it after it has ended.
                idempotency_key: idempotency_key(&[
                    &self.current_minute(),
                    &previous_session,
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
        let created = self.with_customer(user, create).await?;
        let CheckoutSession { id, url: Some(url), status } = created else {
            return Err(Error::PaymentProvider(anyhow::anyhow!("the new checkout session has no URL")));
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
        self.expire_older_checkouts(user).await
    }

    /// Syncs the user's subscriptions and cancels those that wait for a payment (incomplete, unpaid, or paused after a trial
    /// without a card). Such a subscription gives no Pro, but a user who bought another one could pay for both.
    ///
    /// # Errors
    /// [`Error::AlreadySubscribed`] if any other subscription is billable, such as an active one or one whose payment collection
    /// is paused.
    async fn reject_if_subscribed_and_cancel_unpaid(&self, user: UserId) -> Result<()> {
        let Some(subscriptions) = self.sync_with_stripe(user).await? else { return Ok(()) };
        if subscriptions
            .iter()
            .any(|subscription| is_billable(subscription.state) && !subscription.is_replaceable)
        {
            return Err(Error::AlreadySubscribed);
        }
        for subscription in subscriptions.iter().filter(|subscription| subscription.is_replaceable) {
            match self.payments()?.cancel_subscription(&subscription.id).await {
                Ok(()) | Err(PaymentError::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
            tracing::info!(
                %user,
                subscription = subscription.id,
                state = ?subscription.state,
                "subscription cancelled for a new checkout"
            );
        }
        Ok(())
    }

    /// Expires all of a user's open checkouts but the newest, so that only one can be paid. Returns the newest.
    async fn expire_older_checkouts(&self, user: UserId) -> Result<checkout::Model> {
        let newest = checkouts::newest_of(self.db.write(), user).await?.ok_or(Error::NotFound("checkout"))?;
        for checkout in checkouts::open_of(self.db.write(), user).await? {
            if checkout.session_id == newest.session_id {
                continue;
            }
            if let Err(error) = self.payments()?.expire_checkout(&checkout.session_id).await {
                tracing::info!(%user, checkout_session_id = checkout.session_id, %error, "failed to expire a checkout");
                // Stripe cannot expire a paid checkout. If this one was paid, the sync finds its subscription, and this function
                // fails with `AlreadySubscribed`.
                self.reject_if_subscribed_and_cancel_unpaid(user).await?;
            }
            checkouts::end(self.db.write(), &checkout.session_id, checkout::Status::Expired).await?;
        }
        Ok(newest)
    }

    /// The status of one of the user's checkouts. An open checkout is first synced with Stripe. If the status is COMPLETE, the
    /// subscription has been stored.
    ///
    /// # Errors
    /// [`Error::BadInput`], [`Error::NotFound`], [`Error::BillingNotConfigured`], [`Error::PaymentProvider`].
    pub async fn checkout_status(&self, user: UserId, session: &str) -> Result<checkout::Status> {
        reject_nul("sessionId", session)?;
        let load = async || checkouts::owned_by(self.db.read(), user, session).await;
        let checkout = load().await?.ok_or(Error::NotFound("checkout"))?;
        if checkout.status != checkout::Status::Open {
            return Ok(checkout.status);
        }
        self.sync_with_stripe(user).await?;
        Ok(load().await?.ok_or(Error::NotFound("checkout"))?.status)
    }
}

/// Adds the session id placeholder to a success URL that lacks it, because the front end needs the id for `checkoutStatus`.
fn with_session_id(url: String) -> String {
    if url.contains(SESSION_ID_PLACEHOLDER) {
        return url;
    }
    let (base, fragment) = url
        .split_once('#')
        .map_or((url.as_str(), String::new()), |(base, fragment)| (base, format!("#{fragment}")));
    let separator = if base.contains('?') { '&' } else { '?' };
    format!("{base}{separator}session_id={SESSION_ID_PLACEHOLDER}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_url_without_the_session_id_gets_it_before_the_fragment() {
        for (url, expected) in [
            ("https://chat.example/a", "https://chat.example/a?session_id={CHECKOUT_SESSION_ID}"),
            ("https://chat.example/a?b=c", "https://chat.example/a?b=c&session_id={CHECKOUT_SESSION_ID}"),
            ("https://chat.example/a#top", "https://chat.example/a?session_id={CHECKOUT_SESSION_ID}#top"),
            (
                "https://chat.example/a?b=c#top",
                "https://chat.example/a?b=c&session_id={CHECKOUT_SESSION_ID}#top",
            ),
        ] {
            assert_eq!(with_session_id(url.to_owned()), expected);
        }
    }

    #[test]
    fn success_url_with_the_session_id_stays_unchanged() {
        for url in [
            "https://chat.example/{CHECKOUT_SESSION_ID}",
            "https://chat.example/?s={CHECKOUT_SESSION_ID}#top",
        ] {
            assert_eq!(with_session_id(url.to_owned()), url);
        }
    }
}
