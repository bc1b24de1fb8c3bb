//! The tier of a user, derived from the stored billing state.

use entity::{Timestamp, subscription};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Basic,
    Pro,
}

impl Tier {
    /// The tier of a user who has Pro or not.
    #[must_use]
    pub fn of(has_pro: bool) -> Self {
        if has_pro { Self::Pro } else { Self::Basic }
    }
}

/// The tier at `now`.
#[must_use]
pub fn tier(subscription: Option<&subscription::Model>, now: Timestamp) -> Tier {
    match subscription.and_then(|subscription| subscription.pro_until) {
        Some(until) if until > now => Tier::Pro,
        _ => Tier::Basic,
    }
}
