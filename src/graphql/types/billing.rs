use async_graphql::{Enum, SimpleObject};
use entity::{Timestamp, subscription};

use crate::domain::billing::tiers;

/// What a user may use.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum Tier {
    /// A number of prompts a day.
    Basic,
    /// Unlimited prompts.
    Pro,
}

/// How the subscription stands with Stripe.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "subscription::State")]
pub enum BillingState {
    /// Never subscribed.
    None,
    /// Paid.
    Active,
    /// In a free trial.
    Trialing,
    /// The last payment failed; Pro goes on for some days of grace.
    PastDue,
    /// Ended.
    Canceled,
    /// The first payment has not been made.
    Incomplete,
    /// Payments were given up.
    Unpaid,
    /// Paused, or its collection is: it gives no Pro until it is resumed.
    Paused,
}

/// A user's tier and how it is paid for.
#[derive(Clone, SimpleObject)]
pub struct SubscriptionStatus {
    /// What the user may use.
    tier: Tier,
    /// How the subscription stands with Stripe.
    state: BillingState,
    /// When the paid period ends.
    current_period_end: Option<Timestamp>,
    /// Whether the subscription ends with its period.
    cancel_at_period_end: bool,
}

impl SubscriptionStatus {
    pub fn new(subscription: Option<&subscription::Model>, now: Timestamp) -> Self {
        let tier = match tiers::tier(subscription, now) {
            tiers::Tier::Basic => Tier::Basic,
            tiers::Tier::Pro => Tier::Pro,
        };
        Self {
            tier,
            state: subscription.map_or(BillingState::None, |subscription| subscription.state.into()),
            current_period_end: subscription.and_then(|subscription| subscription.current_period_end),
            cancel_at_period_end: subscription.is_some_and(|subscription| subscription.cancel_at_period_end),
        }
    }
}
