//! The rules by which a user's billing state is derived from all of the user's subscriptions at Stripe.
//!
//! This module uses neither the database nor Stripe. `tiers` derives the tier from the billing state.

use chrono::TimeDelta;
use entity::{Timestamp, subscription};
use subscription::State;

use crate::ports::payments::SubscriptionSnapshot;

/// How long Pro continues after an unpaid invoice was created, and after the end of a period until its renewal is synced.
pub const GRACE: TimeDelta = TimeDelta::days(7);

/// Returns `row` with the billing state that follows from all of the customer's subscriptions to Pro. Of several subscriptions,
/// the one in the best state counts; if several are in that state, the newest of them.
pub fn derive_billing_state(
    subscriptions: &[SubscriptionSnapshot],
    row: subscription::Model,
    now: Timestamp,
) -> subscription::Model {
    if subscriptions.iter().filter(|snapshot| is_billable(snapshot.state) && !snapshot.is_replaceable).count()
        > 1
    {
        tracing::error!(user = %row.user_id, "user pays for several subscriptions: cancel all but one in Stripe");
    }
    let best = subscriptions.iter().max_by_key(|snapshot| (rank(snapshot.state), snapshot.created_at));
    subscription::Model {
        stripe_subscription_id: best.map(|best| best.id.clone()),
        state: best.map_or(State::None, |best| best.state),
        current_period_end: best.and_then(|best| best.period_end),
        cancel_at_period_end: best.is_some_and(|best| best.ends_at.is_some() && is_billable(best.state)),
        pro_until: best.and_then(|best| pro_until(best, now)).max(row.granted_until),
        updated_at: now,
        ..row
    }
}

/// Whether a subscription is billed or may be billed later, so that a user with a second one could pay twice.
pub fn is_billable(state: State) -> bool {
    !matches!(state, State::None | State::Canceled)
}

/// Orders the states: the highest rank is the best state.
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

/// Until when the subscription gives Pro; none if its state gives no Pro.
fn pro_until(subscription: &SubscriptionSnapshot, now: Timestamp) -> Option<Timestamp> {
    match subscription.state {
        State::Active | State::Trialing => {
            Some(subscription.ends_at.unwrap_or(subscription.period_end.unwrap_or(now) + GRACE))
        }
        State::PastDue => {
            let unpaid_since = subscription.unpaid_since.or(subscription.period_start);
            Some(unpaid_since.unwrap_or(subscription.created_at) + GRACE)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use entity::UserId;

    use super::{super::tiers, *};

    fn day(day: i64) -> Timestamp {
        Timestamp::from_timestamp(1_795_262_400, 0).unwrap() + TimeDelta::days(day)
    }

    /// A subscription created on day 0, whose current period is from day 30 to day 60.
    fn snapshot(id: &str, state: State) -> SubscriptionSnapshot {
        SubscriptionSnapshot {
            id: id.to_owned(),
            state,
            prices: Vec::new(),
            is_replaceable: false,
            created_at: day(0),
            period_start: Some(day(30)),
            period_end: Some(day(60)),
            ends_at: None,
            unpaid_since: None,
        }
    }

    fn derive(subscriptions: &[SubscriptionSnapshot], now: Timestamp) -> subscription::Model {
        let row = subscription::Model {
            user_id: UserId::generate(),
            stripe_customer_id: "cus_1".to_owned(),
            stripe_subscription_id: None,
            state: State::None,
            current_period_end: None,
            cancel_at_period_end: false,
            pro_until: None,
            updated_at: day(0),
            version: 3,
            reversal: Some("charge.refunded ch_1".to_owned()),
            reversed_at: Some(day(0)),
            granted_until: None,
        };
        derive_billing_state(subscriptions, row, now)
    }

    fn is_pro(row: &subscription::Model, now: Timestamp) -> bool {
        tiers::tier(Some(row), now) == tiers::Tier::Pro
    }

    #[test]
    fn only_active_trialing_and_past_due_give_pro() {
        for (state, expected) in [
            (State::Active, true),
            (State::Trialing, true),
            (State::PastDue, true),
            (State::Unpaid, false),
            (State::Paused, false),
            (State::Incomplete, false),
            (State::Canceled, false),
        ] {
            let row = derive(&[snapshot("sub_1", state)], day(31));
            assert_eq!((row.state, is_pro(&row, day(31))), (state, expected), "{state:?}");
        }
    }

    #[test]
    fn without_subscriptions_the_state_is_none_and_the_reversal_stays() {
        let row = derive(&[], day(31));
        assert_eq!((row.state, row.pro_until, row.stripe_subscription_id.clone()), (State::None, None, None));
        assert_eq!(row.reversal.as_deref(), Some("charge.refunded ch_1"));
        assert_eq!((row.version, row.updated_at), (3, day(31)));
    }

    #[test]
    fn unknown_renewal_gives_pro_for_seven_days_after_the_period() {
        let row = derive(&[snapshot("sub_1", State::Active)], day(31));
        assert_eq!((row.current_period_end, row.pro_until), (Some(day(60)), Some(day(67))));
        assert!(is_pro(&row, day(67) - TimeDelta::seconds(1)));
        assert!(!is_pro(&row, day(67)));
    }

    #[test]
    fn cancelled_renewal_ends_pro_without_grace() {
        let ending = SubscriptionSnapshot { ends_at: Some(day(60)), ..snapshot("sub_1", State::Active) };
        let row = derive(&[ending], day(31));
        assert_eq!((row.cancel_at_period_end, row.pro_until), (true, Some(day(60))));
    }

    #[test]
    fn ended_subscription_is_not_cancelled_at_the_period_end() {
        let ended = SubscriptionSnapshot { ends_at: Some(day(60)), ..snapshot("sub_1", State::Canceled) };
        assert!(!derive(&[ended], day(61)).cancel_at_period_end);
    }

    #[test]
    fn past_due_gives_pro_for_seven_days_after_the_oldest_unpaid_invoice() {
        let unpaid = |period_start, unpaid_since| SubscriptionSnapshot {
            period_start,
            unpaid_since,
            ..snapshot("sub_1", State::PastDue)
        };
        for (subscription, until) in [
            (unpaid(Some(day(30)), Some(day(20))), day(27)),
            (unpaid(Some(day(30)), None), day(37)),
            (unpaid(None, None), day(7)),
        ] {
            assert_eq!(derive(&[subscription], day(31)).pro_until, Some(until));
        }
    }

    #[test]
    fn of_several_subscriptions_the_best_state_counts_and_then_the_newest() {
        let newer = SubscriptionSnapshot { created_at: day(10), ..snapshot("sub_newer", State::Active) };
        for (subscriptions, expected) in [
            (
                vec![snapshot("sub_active", State::Active), snapshot("sub_ended", State::Canceled)],
                "sub_active",
            ),
            (
                vec![snapshot("sub_unpaid", State::Unpaid), snapshot("sub_past_due", State::PastDue)],
                "sub_past_due",
            ),
            (vec![newer.clone(), snapshot("sub_older", State::Active)], "sub_newer"),
            (vec![snapshot("sub_older", State::Active), newer], "sub_newer"),
        ] {
            assert_eq!(derive(&subscriptions, day(31)).stripe_subscription_id.as_deref(), Some(expected));
        }
    }

    #[test]
    fn granted_pro_lasts_until_its_date_whatever_the_subscription_is() {
        let granted = |subscriptions: &[SubscriptionSnapshot], until| {
            let row = subscription::Model {
                granted_until: Some(until),
                ..subscription::Model::without_customer(UserId::generate(), day(0))
            };
            derive_billing_state(subscriptions, row, day(31)).pro_until
        };
        assert_eq!(granted(&[], day(40)), Some(day(40)));
        assert_eq!(granted(&[snapshot("sub_1", State::Canceled)], day(40)), Some(day(40)));
        assert_eq!(granted(&[snapshot("sub_1", State::Active)], day(40)), Some(day(67)));
        assert_eq!(granted(&[snapshot("sub_1", State::Active)], day(90)), Some(day(90)));
    }

    #[test]
    fn every_state_but_none_and_canceled_is_billable() {
        for state in
            [State::Active, State::Trialing, State::PastDue, State::Unpaid, State::Paused, State::Incomplete]
        {
            assert!(is_billable(state), "{state:?}");
        }
        assert!(!is_billable(State::None) && !is_billable(State::Canceled));
    }
}
