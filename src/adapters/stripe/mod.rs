//! Stripe, through the async-stripe crates, which provide the request types, the HTTP client and the pinned API version.
//!
//! Responses are parsed into types of this project, which contain only the fields that are needed. Therefore parsing still
//! succeeds if Stripe adds or removes any other field.

mod responses;

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use entity::subscription::State;
use miniserde::{Deserialize, json};
use responses::{
    ChargeResponse, CheckoutSessionResponse, IdResponse, InvoiceResponse, ListResponse, PortalResponse,
    PriceResponse, SubscriptionResponse, timestamp,
};
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
        CheckoutSession, CustomerProfile, NewCheckout, NewCustomer, PaymentError, Payments, PriceSnapshot,
        Result, SubscriptionSnapshot,
    },
};

/// The retries of one call. All tries send the same idempotency key: see <https://docs.stripe.com/error-low-level>.
const RETRIES: RetryPolicy = RetryPolicy {
    backoff: Backoff::doubling(Duration::from_millis(500), Duration::from_secs(2)).with_factor(3),
    max_tries: Some(3),
};
/// The key of the user's id in the metadata of customers and subscriptions.
const USER_ID: &str = "user_id";

pub struct Stripe {
    client: Client,
}

impl Stripe {
    /// # Errors
    /// The key or the URL is invalid.
    pub fn new(secret_key: &str, base: &str, timeout: Duration) -> anyhow::Result<Self> {
        let client = ClientBuilder::new(secret_key)
            .url(format!("{}/", base.trim_end_matches('/')))
            .timeout(timeout)
            .app_info("Pollux", Some(env!("CARGO_PKG_VERSION").to_owned()), None)
            .build()
            .context("STRIPE_SECRET_KEY or STRIPE_API_BASE is invalid")?;
        Ok(Self { client })
    }

    /// Makes a call that may be repeated without an idempotency key: a read or a deletion.
    async fn call_without_key<T: Deserialize>(&self, request: &impl StripeRequest) -> Result<T> {
        self.call(request, RequestStrategy::Once).await
    }

    async fn call_with_key<T: Deserialize>(&self, request: &impl StripeRequest, key: &str) -> Result<T> {
        let key = IdempotencyKey::new(key).context("invalid idempotency key")?;
        self.call(request, RequestStrategy::Idempotent(key)).await
    }

    /// Reads the object at this path. It is used for objects whose request types would add another crate to the build.
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

    /// Sends a request, and retries it by [`RETRIES`]. `strategy` only says whether each try sends an idempotency key: with
    /// `Once` and `Idempotent`, the client itself does not retry.
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
                (Ok(response), _) => return Ok(response),
                (Err(error), Some(delay)) if is_retryable(&error) => {
                    tracing::info!(tries, error = %without_payment_details(&error), "stripe call failed; will retry");
                    tokio::time::sleep(delay).await;
                }
                (Err(StripeError::Stripe(error, _)), _)
                    if error.code == Some(ApiErrorsCode::ResourceMissing) =>
                {
                    return Err(PaymentError::Missing(error.param.unwrap_or_default()));
                }
                (Err(error), _) => return Err(without_payment_details(&error).into()),
            }
        }
    }
}

/// Whether a retry may succeed: a status that Stripe documents as retryable, or a response that is lost or malformed.
fn is_retryable(error: &StripeError) -> bool {
    match error {
        StripeError::Stripe(_, status) => matches!(status, 409 | 424 | 429 | 500..),
        StripeError::ConfigError(_) => false,
        StripeError::ClientError(_) | StripeError::Timeout | StripeError::JSONDeserialize(_) => true,
    }
}

/// The error for the log, without the payment details that Stripe's error may contain.
fn without_payment_details(error: &StripeError) -> anyhow::Error {
    match error {
        StripeError::Stripe(error, status) => anyhow!(
            "Stripe returned {status} {}: {} (parameter {}, {})",
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
    async fn create_customer(&self, new: NewCustomer) -> Result<String> {
        let metadata = HashMap::from([(USER_ID.to_owned(), new.user.to_string())]);
        let mut request = CreateCustomer::new().phone(new.phone_number).metadata(metadata);
        if let Some(email) = new.profile.email {
            request = request.email(email);
        }
        if let Some(name) = new.profile.full_name {
            request = request.name(name);
        }
        let customer: IdResponse = self.call_with_key(&request, &new.idempotency_key).await?;
        Ok(customer.id)
    }

    async fn update_customer(&self, id: &str, profile: CustomerProfile) -> Result<()> {
        // Stripe removes a value that is set to an empty string.
        let request = UpdateCustomer::new(id)
            .email(profile.email.unwrap_or_default())
            .name(profile.full_name.unwrap_or_default());
        self.call_with_key::<IdResponse>(&request, &fresh_key()).await.map(drop)
    }

    async fn delete_customer(&self, id: &str) -> Result<()> {
        self.call_without_key::<IdResponse>(&DeleteCustomer::new(id)).await.map(drop)
    }

    async fn create_checkout(&self, new: NewCheckout) -> Result<CheckoutSession> {
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
        self.call_with_key::<CheckoutSessionResponse>(&request, &new.idempotency_key).await?.into_session()
    }

    async fn checkout(&self, id: &str) -> Result<CheckoutSession> {
        self.call_without_key::<CheckoutSessionResponse>(&RetrieveCheckoutSession::new(id))
            .await?
            .into_session()
    }

    async fn expire_checkout(&self, id: &str) -> Result<()> {
        self.call_with_key::<IdResponse>(&ExpireCheckoutSession::new(id), &fresh_key()).await.map(drop)
    }

    async fn open_portal(&self, customer: &str, return_url: &str) -> Result<String> {
        let request = CreateBillingPortalSession::new().customer(customer).return_url(return_url);
        let portal: PortalResponse = self.call_with_key(&request, &fresh_key()).await?;
        Ok(portal.url)
    }

    async fn subscriptions(&self, customer: &str) -> Result<Vec<SubscriptionSnapshot>> {
        let request =
            ListSubscription::new().customer(customer).status(ListSubscriptionStatus::All).limit(100);
        let list: ListResponse<SubscriptionResponse> = self.call_without_key(&request).await?;
        let mut subscriptions: Vec<_> =
            list.data.into_iter().map(SubscriptionResponse::into_snapshot).collect();
        for past_due in subscriptions.iter_mut().filter(|subscription| subscription.state == State::PastDue) {
            let request =
                ListInvoice::new().subscription(&past_due.id).status(InvoiceStatus::Open).limit(100);
            let open: ListResponse<InvoiceResponse> = self.call_without_key(&request).await?;
            past_due.unpaid_since = open.data.iter().filter_map(|invoice| timestamp(invoice.created)).min();
        }
        Ok(subscriptions)
    }

    async fn cancel_subscription(&self, id: &str) -> Result<()> {
        self.call_without_key::<IdResponse>(&CancelSubscription::new(id)).await.map(drop)
    }

    async fn price(&self, id: &str) -> Result<PriceSnapshot> {
        let price: PriceResponse = self.get_path(format!("/prices/{id}")).await?;
        Ok(price.into())
    }

    async fn customer_of_charge(&self, id: &str) -> Result<Option<String>> {
        let charge: ChargeResponse = self.get_path(format!("/charges/{id}")).await?;
        Ok(charge.customer)
    }

    async fn event(&self, id: &str) -> Result<Vec<u8>> {
        let event: json::Value = self.call_without_key(&RetrieveEvent::new(id)).await?;
        Ok(json::to_string(&event).into_bytes())
    }
}

/// A new idempotency key, for one call and its retries.
fn fresh_key() -> String {
    uuid::Uuid::new_v4().to_string()
}
