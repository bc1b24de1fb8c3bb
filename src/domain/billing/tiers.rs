//! The tier of a user, derived from the stored billing state.

use entity::{Timestamp, subscription};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Basic,
    Pro,
}

/// The tier at `now`.
#[must_use]
pub fn tier(subscription: Option<&subscription::Model>, now: Timestamp) -> Tier {
    match subscription.and_then(|subscription| subscription.pro_until) {
        Some(until) if until > now => Tier::Pro,
        _ => Tier::Basic,
    }
}
