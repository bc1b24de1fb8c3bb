//! Who takes the money: Stripe, as far as the rules need it.

use async_trait::async_trait;
use entity::{Timestamp, UserId, checkout, subscription};

/// The provider did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such thing with the provider; says in which parameter it was named.
    #[error("the provider knows no such {0}")]
    Missing(String),
    /// Refused, unreachable or not understood.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

pub type Result<T> = std::result::Result<T, PaymentError>;

/// Whom to bill.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    pub user: UserId,
    pub phone_number: String,
    pub profile: Profile,
    /// The same key gives the same customer.
    pub idempotency_key: String,
}

/// What of a user's profile the provider has, for its receipts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub email: Option<String>,
    pub full_name: Option<String>,
}

/// A page on which a customer can subscribe.
#[derive(Clone, Debug)]
pub struct NewCheckout {
    pub user: UserId,
    pub customer: String,
    pub price: String,
    /// May hold `{CHECKOUT_SESSION_ID}`.
    pub success_url: String,
    pub cancel_url: String,
    /// The same key gives the same page.
    pub idempotency_key: String,
}

/// A checkout as it stands.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub id: String,
    pub status: checkout::Status,
    /// Where to pay; none once it has ended.
    pub url: Option<String>,
}

/// A customer's subscription as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    pub id: String,
    /// [`Paused`](subscription::State::Paused), too, if it would be active but its collection is paused.
    pub state: subscription::State,
    /// What it is for.
    pub prices: Vec<Price>,
    /// It is waiting for a payment that may never come and gives nothing meanwhile: cancelling it takes nothing away.
    pub may_be_replaced: bool,
    pub created_at: Timestamp,
    pub period_start: Option<Timestamp>,
    pub period_end: Option<Timestamp>,
    /// When it will end; none if it renews itself.
    pub ends_at: Option<Timestamp>,
    /// Since when there is an invoice that is not paid, if it is past due.
    pub unpaid_since: Option<Timestamp>,
}

/// A price, and the product that it is a price of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub id: String,
    pub product: Option<String>,
}

#[async_trait]
pub trait Payments: Send + Sync {
    /// Makes a customer and says its id.
    async fn customer(&self, new: NewCustomer) -> Result<String>;

    /// Replaces what the provider knows of a customer's profile.
    async fn update_customer(&self, id: &str, profile: Profile) -> Result<()>;

    /// Ends all of a customer's subscriptions at once, and deletes what it is known by.
    async fn delete_customer(&self, id: &str) -> Result<()>;

    async fn begin_checkout(&self, new: NewCheckout) -> Result<Checkout>;

    async fn checkout(&self, id: &str) -> Result<Checkout>;

    /// Ends a checkout that is open; [`PaymentError`] if it has ended.
    async fn expire_checkout(&self, id: &str) -> Result<()>;

    /// The address of a page on which the customer manages cards, invoices and the subscription.
    async fn portal(&self, customer: &str, return_url: &str) -> Result<String>;

    /// All of the customer's subscriptions, ended ones included.
    async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscribed>>;

    /// Ends a subscription at once.
    async fn cancel_subscription(&self, id: &str) -> Result<()>;

    /// The product that a price is of.
    async fn product_of(&self, price: &str) -> Result<Option<String>>;

    /// The customer who paid a charge; none if it was paid by none that is known.
    async fn customer_of_charge(&self, id: &str) -> Result<Option<String>>;

    /// An event that was sent or should have been, as its webhook's body would be.
    async fn event(&self, id: &str) -> Result<Vec<u8>>;
}
