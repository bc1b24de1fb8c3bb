use async_graphql::{Context, Enum, Object, SimpleObject};
use entity::{Timestamp, subscription};

use crate::{
    domain::billing::tiers,
    error::Result,
    graphql::engine::context::billing,
    ports::payments::{self, Cost},
};

/// The tier of a user.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tiers::Tier")]
pub enum Tier {
    /// The tier of users without a subscription.
    Basic,
    /// The tier of subscribers.
    Pro,
}

/// The state of a subscription at Stripe.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "subscription::State")]
pub enum BillingState {
    /// The user has never subscribed.
    None,
    /// The subscription is paid.
    Active,
    /// The subscription is in its free trial.
    Trialing,
    /// The last payment failed. The user keeps Pro for a grace period of 7 days.
    PastDue,
    /// The subscription has ended.
    Canceled,
    /// The first payment is outstanding.
    Incomplete,
    /// The payment failed finally; Stripe no longer retries it.
    Unpaid,
    /// The subscription or its payment collection is paused. The user has no Pro until it is resumed.
    Paused,
}

/// Whether users can subscribe to Pro, and what it costs.
pub struct Billing;

/// Whether users can subscribe to Pro, and what it costs.
#[Object]
impl Billing {
    /// Whether users can subscribe. If not, startCheckout and openBillingPortal return BILLING_NOT_CONFIGURED.
    async fn is_configured(&self, ctx: &Context<'_>) -> bool {
        billing(ctx).is_configured()
    }

    /// What Pro costs, read from Stripe at most once an hour. Null if billing is not configured or the price has no fixed amount.
    /// Errors: PAYMENT_PROVIDER_ERROR.
    async fn pro_price(&self, ctx: &Context<'_>) -> Result<Option<Price>> {
        Ok(billing(ctx).cost().await?.map(Price::from))
    }
}

/// What is paid for each period of a subscription.
#[derive(SimpleObject)]
pub struct Price {
    /// The amount in the currency's smallest unit, such as cents.
    amount: i32,
    /// The currency in ISO 4217, such as EUR.
    currency: String,
    /// The unit of the period.
    interval: PriceInterval,
    /// The number of units in a period.
    interval_count: i32,
}

impl From<Cost> for Price {
    fn from(Cost { amount, currency, interval, interval_count }: Cost) -> Self {
        Self { amount, currency: currency.to_uppercase(), interval: interval.into(), interval_count }
    }
}

/// The unit of the period of a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "payments::Interval")]
pub enum PriceInterval {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// A user's tier and billing state.
#[derive(Clone, SimpleObject)]
pub struct SubscriptionStatus {
    /// The tier of the user.
    tier: Tier,
    /// The state of the subscription at Stripe.
    state: BillingState,
    /// The end of the paid period. Null without a subscription.
    current_period_end: Option<Timestamp>,
    /// Whether the subscription ends at the end of the paid period.
    cancel_at_period_end: bool,
}

impl SubscriptionStatus {
    pub fn new(subscription: Option<&subscription::Model>, now: Timestamp) -> Self {
        Self {
            tier: tiers::tier(subscription, now).into(),
            state: subscription.map_or(BillingState::None, |subscription| subscription.state.into()),
            current_period_end: subscription.and_then(|subscription| subscription.current_period_end),
            cancel_at_period_end: subscription.is_some_and(|subscription| subscription.cancel_at_period_end),
        }
    }
}
