use async_graphql::{Enum, SimpleObject};
use entity::{Timestamp, subscription};

use crate::domain::billing::tiers;

/// The tier of a user.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tiers::Tier")]
pub enum Tier {
    /// A limited number of prompts a UTC day.
    Basic,
    /// Unlimited prompts.
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
