//! Stripe, by async-stripe: its requests, its client, its pinned version of the API. Of the answers only what is needed is
//! read, by types of our own, which no field that is new or gone can break; both places of a period's end are known.

mod responses;

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use entity::subscription::State;
use miniserde::{Deserialize, json};
use responses::{Charge, Invoice, List, Made, Portal, PriceAnswer, Session, Subscription, time};
use stripe::{
    ApiErrorsCode, Client, ClientBuilder, IdempotencyKey, RequestStrategy, StripeError, StripeRequest,
};
use stripe_billing::{
    InvoiceStatus,
    billing_portal_session::CreateBillingPortalSession,
    invoice::ListInvoice,
    subscription::{CancelSubscription, ListSubscription, ListSubscriptionStatus},
};
use stripe_checkout::{
    CheckoutSessionMode,
    checkout_session::{
        CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionSubscriptionData,
        ExpireCheckoutSession, RetrieveCheckoutSession,
    },
};
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::{
    customer::{CreateCustomer, DeleteCustomer, UpdateCustomer},
    event::RetrieveEvent,
};

use crate::{
    backoff::{Backoff, RetryPolicy},
    ports::payments::{
        Checkout, CustomerProfile, NewCheckout, NewCustomer, PaymentError, Payments, Result, Subscribed,
    },
};

/// Before a call is sent again, with the same key: Stripe asks for it after 409, 429 and faults of its own.
const RETRIES: RetryPolicy = RetryPolicy {
    backoff: Backoff::doubling(Duration::from_millis(500), Duration::from_secs(2)).with_factor(3),
    max_tries: Some(3),
};
/// What the metadata of a customer and a subscription say of their user.
const USER_ID: &str = "user_id";

pub struct Stripe {
    client: Client,
}

impl Stripe {
    /// # Errors
    /// The key or the address cannot be used.
    pub fn new(secret_key: &str, base: &str, timeout: Duration) -> anyhow::Result<Self> {
        let client = ClientBuilder::new(secret_key)
            .url(format!("{}/", base.trim_end_matches('/')))
            .timeout(timeout)
            .app_info("Pollux", Some(env!("CARGO_PKG_VERSION").to_owned()), None)
            .build()
            .context("STRIPE_SECRET_KEY or STRIPE_API_BASE cannot be used")?;
        Ok(Self { client })
    }

    async fn get<T: Deserialize>(&self, request: &impl StripeRequest) -> Result<T> {
        self.call(request, RequestStrategy::Once).await
    }

    async fn post<T: Deserialize>(&self, request: &impl StripeRequest, key: &str) -> Result<T> {
        let key = IdempotencyKey::new(key).context("an idempotency key")?;
        self.call(request, RequestStrategy::Idempotent(key)).await
    }

    /// For the objects of which the library's types would be compiled for nothing else.
    async fn get_path<T: Deserialize>(&self, path: String) -> Result<T> {
        self.send(|| RequestBuilder::new(StripeMethod::Get, path.clone()), RequestStrategy::Once).await
    }

    async fn call<T: Deserialize>(
        &self,
        request: &impl StripeRequest,
        strategy: RequestStrategy,
    ) -> Result<T> {
        self.send(|| request.build(), strategy).await
    }

    async fn send<T: Deserialize>(
        &self,
        build: impl Fn() -> RequestBuilder,
        strategy: RequestStrategy,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            let call = build().customize::<T>().request_strategy(strategy.clone());
            match (call.send(&self.client).await, RETRIES.delay(tries)) {
                (Ok(answer), _) => return Ok(answer),
                (Err(error), Some(delay)) if may_pass(&error) => {
                    tracing::info!(error = %shown(&error), "Stripe is asked again");
                    tokio::time::sleep(delay).await;
                }
                (Err(StripeError::Stripe(error, _)), _)
                    if error.code == Some(ApiErrorsCode::ResourceMissing) =>
                {
                    return Err(PaymentError::Missing(error.param.unwrap_or_default()));
                }
                (Err(error), _) => return Err(shown(&error).into()),
            }
        }
    }
}

/// What Stripe wants to be sent again, and what cannot be told from it.
fn may_pass(error: &StripeError) -> bool {
    match error {
        StripeError::Stripe(_, status) => matches!(status, 409 | 424 | 429 | 500..),
        StripeError::ConfigError(_) => false,
        StripeError::ClientError(_) | StripeError::Timeout | StripeError::JSONDeserialize(_) => true,
    }
}

/// An error for the log, without the payment that it is about.
fn shown(error: &StripeError) -> anyhow::Error {
    match error {
        StripeError::Stripe(error, status) => anyhow!(
            "Stripe answered {status} {}: {} (parameter {}, {})",
            error.code.as_ref().map_or("", |code| code.as_str()),
            error.message.as_deref().unwrap_or("no message"),
            error.param.as_deref().unwrap_or("none"),
            error.request_log_url.as_deref().unwrap_or("no log"),
        ),
        other => anyhow!("Stripe: {other}"),
    }
}

#[async_trait]
impl Payments for Stripe {
    async fn customer(&self, new: NewCustomer) -> Result<String> {
        let metadata = HashMap::from([(USER_ID.to_owned(), new.user.to_string())]);
        let mut request = CreateCustomer::new().phone(new.phone_number).metadata(metadata);
        if let Some(email) = new.profile.email {
            request = request.email(email);
        }
        if let Some(name) = new.profile.full_name {
            request = request.name(name);
        }
        let made: Made = self.post(&request, &new.idempotency_key).await?;
        Ok(made.id)
    }

    async fn update_customer(&self, id: &str, profile: CustomerProfile) -> Result<()> {
        // An empty text takes a value away.
        let request = UpdateCustomer::new(id)
            .email(profile.email.unwrap_or_default())
            .name(profile.full_name.unwrap_or_default());
        self.post::<Made>(&request, &fresh_key()).await.map(drop)
    }

    async fn delete_customer(&self, id: &str) -> Result<()> {
        self.get::<Made>(&DeleteCustomer::new(id)).await.map(drop)
    }

    async fn begin_checkout(&self, new: NewCheckout) -> Result<Checkout> {
        let mut item = CreateCheckoutSessionLineItems::new();
        item.price = Some(new.price);
        item.quantity = Some(1);
        let user = new.user.to_string();
        let mut subscription = CreateCheckoutSessionSubscriptionData::new();
        subscription.metadata = Some(HashMap::from([(USER_ID.to_owned(), user.clone())]));
        let request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Subscription)
            .line_items(vec![item])
            .customer(new.customer)
            .client_reference_id(user)
            .subscription_data(subscription)
            .success_url(new.success_url)
            .cancel_url(new.cancel_url);
        self.post::<Session>(&request, &new.idempotency_key).await?.read()
    }

    async fn checkout(&self, id: &str) -> Result<Checkout> {
        self.get::<Session>(&RetrieveCheckoutSession::new(id)).await?.read()
    }

    async fn expire_checkout(&self, id: &str) -> Result<()> {
        self.post::<Made>(&ExpireCheckoutSession::new(id), &fresh_key()).await.map(drop)
    }

    async fn portal(&self, customer: &str, return_url: &str) -> Result<String> {
        let request = CreateBillingPortalSession::new().customer(customer).return_url(return_url);
        let portal: Portal = self.post(&request, &fresh_key()).await?;
        Ok(portal.url)
    }

    async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscribed>> {
        let request =
            ListSubscription::new().customer(customer).status(ListSubscriptionStatus::All).limit(100);
        let list: List<Subscription> = self.get(&request).await?;
        let mut subscribed: Vec<_> = list.data.into_iter().map(Subscription::read).collect();
        for one in subscribed.iter_mut().filter(|one| one.state == State::PastDue) {
            let open = ListInvoice::new().subscription(&one.id).status(InvoiceStatus::Open).limit(100);
            let open: List<Invoice> = self.get(&open).await?;
            one.unpaid_since = open.data.iter().filter_map(|invoice| time(invoice.created)).min();
        }
        Ok(subscribed)
    }

    async fn cancel_subscription(&self, id: &str) -> Result<()> {
        self.get::<Made>(&CancelSubscription::new(id)).await.map(drop)
    }

    async fn product_of(&self, price: &str) -> Result<Option<String>> {
        let price: PriceAnswer = self.get_path(format!("/prices/{price}")).await?;
        Ok(price.product)
    }

    async fn customer_of_charge(&self, id: &str) -> Result<Option<String>> {
        let charge: Charge = self.get_path(format!("/charges/{id}")).await?;
        Ok(charge.customer)
    }

    async fn event(&self, id: &str) -> Result<Vec<u8>> {
        let event: json::Value = self.get(&RetrieveEvent::new(id)).await?;
        Ok(json::to_string(&event).into_bytes())
    }
}

/// For a call that is to be done once, though it may be sent more often.
fn fresh_key() -> String {
    uuid::Uuid::new_v4().to_string()
}
