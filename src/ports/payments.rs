//! The payment provider: Stripe, as far as the domain uses it.

use async_trait::async_trait;
use entity::{Timestamp, UserId, checkout, subscription};

/// A call to the provider failed.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The provider has no object with this id; holds the name of the parameter.
    #[error("the payment provider has no such {0}")]
    Missing(String),
    /// Rejected, unreachable, or the response could not be parsed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

pub type Result<T> = std::result::Result<T, PaymentError>;

/// The customer to create.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    pub user: UserId,
    pub phone_number: String,
    pub profile: CustomerProfile,
    /// A retry with the same key returns the same customer.
    pub idempotency_key: String,
}

/// The part of a user's profile that the provider stores, for its receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerProfile {
    pub email: Option<String>,
    pub full_name: Option<String>,
}

/// The checkout page to create, on which a customer can subscribe.
#[derive(Clone, Debug)]
pub struct NewCheckout {
    pub user: UserId,
    pub customer: String,
    pub price: String,
    /// May hold `{CHECKOUT_SESSION_ID}`.
    pub success_url: String,
    pub cancel_url: String,
    /// A retry with the same key returns the same page.
    pub idempotency_key: String,
}

/// The current state of a checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub id: String,
    pub status: checkout::Status,
    /// The URL of the page; none once the checkout has ended.
    pub url: Option<String>,
}

/// The current state of a customer's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    pub id: String,
    /// [`Paused`](subscription::State::Paused) also if it is active with its collection paused.
    pub state: subscription::State,
    /// The prices of its items.
    pub prices: Vec<Price>,
    /// Incomplete: it waits for a first payment and grants nothing, so it can be cancelled without loss.
    pub may_be_replaced: bool,
    pub created_at: Timestamp,
    pub period_start: Option<Timestamp>,
    pub period_end: Option<Timestamp>,
    /// When it will end; none if it renews.
    pub ends_at: Option<Timestamp>,
    /// When the oldest unpaid invoice became due; none unless it is past due.
    pub unpaid_since: Option<Timestamp>,
}

/// A price and its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub id: String,
    pub product: Option<String>,
}

#[async_trait]
pub trait Payments: Send + Sync {
    /// Creates a customer and returns its id.
    async fn customer(&self, new: NewCustomer) -> Result<String>;

    /// Replaces the customer's profile at the provider.
    async fn update_customer(&self, id: &str, profile: CustomerProfile) -> Result<()>;

    /// Ends all subscriptions of a customer immediately and deletes the customer's personal data.
    async fn delete_customer(&self, id: &str) -> Result<()>;

    async fn begin_checkout(&self, new: NewCheckout) -> Result<Checkout>;

    async fn checkout(&self, id: &str) -> Result<Checkout>;

    /// Ends an open checkout; [`PaymentError`] if it has ended.
    async fn expire_checkout(&self, id: &str) -> Result<()>;

    /// The URL of a page on which the customer manages cards, invoices and the subscription.
    async fn portal(&self, customer: &str, return_url: &str) -> Result<String>;

    /// All of the customer's subscriptions, ended ones included.
    async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscribed>>;

    /// Ends a subscription immediately.
    async fn cancel_subscription(&self, id: &str) -> Result<()>;

    /// The product of a price.
    async fn product_of(&self, price: &str) -> Result<Option<String>>;

    /// The customer who paid a charge; none if the charge has no customer.
    async fn customer_of_charge(&self, id: &str) -> Result<Option<String>>;

    /// An event, in the format of a webhook body.
    async fn event(&self, id: &str) -> Result<Vec<u8>>;
}
