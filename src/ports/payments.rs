//! What billing needs from the payment provider: customers, checkouts, subscriptions and events.

use async_trait::async_trait;
use entity::{Timestamp, UserId, checkout, subscription};

#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// An object does not exist at the provider. Contains the name of the request parameter that refers to the object.
    #[error("the payment provider has no such {0}")]
    Missing(String),
    /// The provider rejected the call, did not respond, or sent an invalid response.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

pub type Result<T> = std::result::Result<T, PaymentError>;

#[derive(Clone, Debug)]
pub struct NewCustomer {
    pub user: UserId,
    pub phone_number: String,
    pub profile: CustomerProfile,
    /// Calls with the same key create one customer.
    pub idempotency_key: String,
}

/// The part of a user's profile that the provider prints on receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerProfile {
    pub email: Option<String>,
    pub full_name: Option<String>,
}

#[derive(Clone, Debug)]
pub struct NewCheckout {
    pub user: UserId,
    pub customer: String,
    pub price: String,
    /// May contain the placeholder `{CHECKOUT_SESSION_ID}`, which the provider replaces with the id of the session.
    pub success_url: String,
    pub cancel_url: String,
    /// Calls with the same key create one session.
    pub idempotency_key: String,
}

/// The current state of a page on which a customer can subscribe.
#[derive(Clone, Debug)]
pub struct CheckoutSession {
    pub id: String,
    pub status: checkout::Status,
    /// The URL of the page; none once the session has ended.
    pub url: Option<String>,
}

/// The current state of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSnapshot {
    pub id: String,
    /// An active subscription whose payment collection is paused also has the state [`Paused`](subscription::State::Paused).
    pub state: subscription::State,
    pub prices: Vec<Price>,
    /// Whether the subscription waits for a payment and does not give the Pro tier meanwhile. It can then be cancelled and
    /// replaced by a new one.
    pub is_replaceable: bool,
    pub created_at: Timestamp,
    pub period_start: Option<Timestamp>,
    pub period_end: Option<Timestamp>,
    /// When the subscription ends; none if it renews.
    pub ends_at: Option<Timestamp>,
    /// When the oldest unpaid invoice was created, if the subscription is past due.
    pub unpaid_since: Option<Timestamp>,
}

/// The current state of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSnapshot {
    pub product: Option<String>,
    pub cost: Option<Cost>,
}

/// What a recurring price costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// In the currency's smallest unit.
    pub amount: i32,
    /// ISO 4217, in lower case.
    pub currency: String,
    pub interval: Interval,
    /// The number of intervals for which the amount is paid.
    pub interval_count: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Day,
    Week,
    Month,
    Year,
}

/// A price, and the product that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub id: String,
    pub product: Option<String>,
}

#[async_trait]
pub trait Payments: Send + Sync {
    /// Creates a customer and returns its id.
    async fn create_customer(&self, new: NewCustomer) -> Result<String>;

    /// Replaces the profile of a customer.
    async fn update_customer(&self, id: &str, profile: CustomerProfile) -> Result<()>;

    /// Deletes a customer and immediately ends all of its subscriptions.
    async fn delete_customer(&self, id: &str) -> Result<()>;

    async fn create_checkout(&self, new: NewCheckout) -> Result<CheckoutSession>;

    async fn checkout(&self, id: &str) -> Result<CheckoutSession>;

    /// Expires an open checkout session.
    ///
    /// # Errors
    /// [`PaymentError`] if it has ended already.
    async fn expire_checkout(&self, id: &str) -> Result<()>;

    /// Opens a page on which the customer manages cards, invoices and the subscription, and returns its URL.
    async fn open_portal(&self, customer: &str, return_url: &str) -> Result<String>;

    /// The newest 100 subscriptions of a customer, ended ones included.
    async fn subscriptions(&self, customer: &str) -> Result<Vec<SubscriptionSnapshot>>;

    /// Ends a subscription immediately.
    async fn cancel_subscription(&self, id: &str) -> Result<()>;

    /// What a price costs, and its product.
    async fn price(&self, id: &str) -> Result<PriceSnapshot>;

    /// The customer who paid a charge; none if it was paid without a customer.
    async fn customer_of_charge(&self, id: &str) -> Result<Option<String>>;

    /// An event as JSON, in the form of a webhook's body.
    async fn event(&self, id: &str) -> Result<Vec<u8>>;
}
