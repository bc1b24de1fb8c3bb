//! The tier of a user, derived from the stored billing state.

use entity::{Timestamp, subscription};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Basic,
    Pro,
}

impl Tier {
    /// Pro if the user has Pro, otherwise Basic.
    #[must_use]
    pub fn of(has_pro: bool) -> Self {
        if has_pro { Self::Pro } else { Self::Basic }
    }
}

/// The tier at `now` of the user with this row; Basic for a user without a row.
#[must_use]
pub fn tier(subscription: Option<&subscription::Model>, now: Timestamp) -> Tier {
    match subscription.and_then(|subscription| subscription.pro_until) {
        Some(until) if until > now => Tier::Pro,
        _ => Tier::Basic,
    }
}
