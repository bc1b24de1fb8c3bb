//! What a user's subscriptions with Stripe come to.

use chrono::TimeDelta;
use entity::{Timestamp, subscription};
use subscription::State;

use crate::ports::payments::Subscribed;

/// How long Pro goes on after a payment has failed, and after a period whose renewal has not been heard of.
pub const GRACE: TimeDelta = TimeDelta::days(7);

/// The row as it is to be, given all of the customer's subscriptions to Pro at `now`.
pub fn standing(
    subscriptions: &[Subscribed],
    row: subscription::Model,
    now: Timestamp,
) -> subscription::Model {
    if subscriptions.iter().filter(|one| is_live(one.state) && !one.may_be_replaced).count() > 1 {
        tracing::error!(user = %row.user_id, "pays for more than one subscription: cancel all but one in Stripe");
    }
    let best = subscriptions.iter().max_by_key(|subscribed| (rank(subscribed.state), subscribed.created_at));
    subscription::Model {
        stripe_subscription_id: best.map(|best| best.id.clone()),
        state: best.map_or(State::None, |best| best.state),
        current_period_end: best.and_then(|best| best.period_end),
        cancel_at_period_end: best.is_some_and(|best| best.ends_at.is_some() && is_live(best.state)),
        pro_until: best.and_then(|best| pro_until(best, now)),
        updated_at: now,
        ..row
    }
}

/// Whether it is or may yet be billed, so that a second one beside it would be paid for twice.
pub fn is_live(state: State) -> bool {
    !matches!(state, State::None | State::Canceled)
}

fn rank(state: State) -> u8 {
    match state {
        State::Active => 7,
        State::Trialing => 6,
        State::PastDue => 5,
        State::Unpaid => 4,
        State::Paused => 3,
        State::Incomplete => 2,
        State::Canceled => 1,
        State::None => 0,
    }
}

fn pro_until(subscribed: &Subscribed, now: Timestamp) -> Option<Timestamp> {
    match subscribed.state {
        State::Active | State::Trialing => {
            Some(subscribed.ends_at.unwrap_or(subscribed.period_end.unwrap_or(now) + GRACE))
        }
        State::PastDue => {
            let unpaid_since = subscribed.unpaid_since.or(subscribed.period_start);
            Some(unpaid_since.unwrap_or(subscribed.created_at) + GRACE)
        }
        _ => None,
    }
}
