//! Stripe's responses, with only the fields that are needed, and their conversion into the port's types.

use anyhow::anyhow;
use entity::{Timestamp, checkout, subscription::State};
use miniserde::Deserialize;

use crate::ports::payments::{
    CheckoutSession, Cost, Interval, Price, PriceSnapshot, Result, SubscriptionSnapshot,
};

#[derive(Deserialize)]
pub(super) struct IdResponse {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct PortalResponse {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct CheckoutSessionResponse {
    id: String,
    status: Option<String>,
    url: Option<String>,
}

impl CheckoutSessionResponse {
    pub(super) fn into_session(self) -> Result<CheckoutSession> {
        let status = match self.status.as_deref() {
            Some("open") => checkout::Status::Open,
            Some("complete") => checkout::Status::Complete,
            Some("expired") => checkout::Status::Expired,
            other => {
                return Err(
                    anyhow!("Stripe returned a checkout session with the unknown status {other:?}").into()
                );
            }
        };
        Ok(CheckoutSession { id: self.id, status, url: self.url })
    }
}

#[derive(Deserialize)]
pub(super) struct ListResponse<T> {
    pub(super) data: Vec<T>,
}

/// <https://docs.stripe.com/api/subscriptions/object>. Since API version 2025-03-31, the items have the period; in older
/// versions, the subscription has it.
#[derive(Deserialize)]
pub(super) struct SubscriptionResponse {
    id: String,
    status: String,
    created: i64,
    current_period_start: Option<i64>,
    current_period_end: Option<i64>,
    items: Option<Items>,
    cancel_at: Option<i64>,
    cancel_at_period_end: Option<bool>,
    pause_collection: Option<PauseCollection>,
}

/// Present while payment collection is paused, which does not change the status:
/// <https://docs.stripe.com/billing/subscriptions/pause-payment>.
#[derive(Deserialize)]
struct PauseCollection {}

#[derive(Deserialize)]
struct Items {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: Option<PriceResponse>,
    current_period_start: Option<i64>,
    current_period_end: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct PriceResponse {
    id: String,
    product: Option<String>,
    unit_amount: Option<i64>,
    currency: Option<String>,
    recurring: Option<Recurring>,
}

#[derive(Deserialize)]
struct Recurring {
    interval: String,
    interval_count: Option<i32>,
}

impl From<PriceResponse> for PriceSnapshot {
    fn from(price: PriceResponse) -> Self {
        let cost = || {
            let recurring = price.recurring?;
            Some(Cost {
                amount: price.unit_amount?.try_into().ok()?,
                currency: price.currency?,
                interval: parse_interval(&recurring.interval)?,
                interval_count: recurring.interval_count.unwrap_or(1),
            })
        };
        Self { product: price.product, cost: cost() }
    }
}

/// See <https://docs.stripe.com/api/prices/object#price_object-recurring-interval>.
fn parse_interval(interval: &str) -> Option<Interval> {
    match interval {
        "day" => Some(Interval::Day),
        "week" => Some(Interval::Week),
        "month" => Some(Interval::Month),
        "year" => Some(Interval::Year),
        _ => None,
    }
}

#[derive(Deserialize)]
pub(super) struct ChargeResponse {
    pub(super) customer: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InvoiceResponse {
    pub(super) created: i64,
}

impl SubscriptionResponse {
    pub(super) fn into_snapshot(self) -> SubscriptionSnapshot {
        let items = self.items.map(|items| items.data).unwrap_or_default();
        // With several items, the period that all of them have in common.
        let start = items.iter().filter_map(|item| item.current_period_start).max();
        let end = items.iter().filter_map(|item| item.current_period_end).min();
        let period_end = end.or(self.current_period_end);
        let ends_at = self.cancel_at.or(period_end.filter(|_| self.cancel_at_period_end == Some(true)));
        let state = match parse_status(&self.status) {
            State::Active | State::Trialing if self.pause_collection.is_some() => State::Paused,
            state => state,
        };
        let prices = items.into_iter().filter_map(|item| item.price);
        SubscriptionSnapshot {
            id: self.id,
            state,
            prices: prices.map(|price| Price { id: price.id, product: price.product }).collect(),
            // Not derived from `state`: paused collection has the state of a paused subscription, and an unknown status that of
            // an incomplete one, but neither is replaceable.
            is_replaceable: matches!(&*self.status, "incomplete" | "unpaid" | "paused"),
            created_at: timestamp(self.created).unwrap_or_default(),
            period_start: start.or(self.current_period_start).and_then(timestamp),
            period_end: period_end.and_then(timestamp),
            ends_at: ends_at.and_then(timestamp),
            // The adapter sets it afterwards, from the open invoices.
            unpaid_since: None,
        }
    }
}

pub(super) fn timestamp(unix: i64) -> Option<Timestamp> {
    Timestamp::from_timestamp(unix, 0)
}

/// Maps <https://docs.stripe.com/api/subscriptions/object#subscription_object-status>. A subscription with an unknown status does
/// not give the Pro tier, but counts as billable, so that the user cannot start a second one and pay twice.
fn parse_status(status: &str) -> State {
    match status {
        "active" => State::Active,
        "trialing" => State::Trialing,
        "past_due" => State::PastDue,
        "canceled" | "incomplete_expired" => State::Canceled,
        "unpaid" => State::Unpaid,
        "paused" => State::Paused,
        "incomplete" => State::Incomplete,
        other => {
            tracing::warn!(status = other, "unknown subscription status from Stripe");
            State::Incomplete
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subscription in the form of <https://docs.stripe.com/api/subscriptions/object>, with `fields` added.
    fn snapshot(status: &str, fields: &str) -> SubscriptionSnapshot {
        let json = format!(r#"{{"id": "sub_1", "status": "{status}", "created": 100 {fields}}}"#);
        miniserde::json::from_str::<SubscriptionResponse>(&json).unwrap().into_snapshot()
    }

    #[test]
    fn every_documented_status_maps_to_a_state_and_incomplete_unpaid_and_paused_are_replaceable() {
        for (status, state, is_replaceable) in [
            ("active", State::Active, false),
            ("trialing", State::Trialing, false),
            ("past_due", State::PastDue, false),
            ("canceled", State::Canceled, false),
            ("incomplete_expired", State::Canceled, false),
            ("unpaid", State::Unpaid, true),
            ("paused", State::Paused, true),
            ("incomplete", State::Incomplete, true),
        ] {
            let snapshot = snapshot(status, "");
            assert_eq!((snapshot.state, snapshot.is_replaceable), (state, is_replaceable), "{status}");
        }
    }

    #[test]
    fn unknown_status_gives_no_tier_and_is_not_replaceable() {
        let snapshot = snapshot("a_status_of_a_later_version", "");
        assert_eq!((snapshot.state, snapshot.is_replaceable), (State::Incomplete, false));
    }

    #[test]
    fn paused_collection_pauses_an_active_or_trialing_subscription() {
        let paused = r#", "pause_collection": {"behavior": "void", "resumes_at": null}"#;
        for (status, state) in
            [("active", State::Paused), ("trialing", State::Paused), ("past_due", State::PastDue)]
        {
            let snapshot = snapshot(status, paused);
            assert_eq!((snapshot.state, snapshot.is_replaceable), (state, false), "{status}");
        }
        assert_eq!(snapshot("active", r#", "pause_collection": null"#).state, State::Active);
    }

    #[test]
    fn period_is_read_from_the_items_or_from_the_subscription() {
        let on_items = r#", "items": {"data": [{"current_period_start": 200, "current_period_end": 300}]}"#;
        let on_subscription = r#", "current_period_start": 200, "current_period_end": 300"#;
        for fields in [on_items, on_subscription] {
            let snapshot = snapshot("active", fields);
            assert_eq!(
                (snapshot.period_start, snapshot.period_end),
                (timestamp(200), timestamp(300)),
                "{fields}"
            );
            assert_eq!(snapshot.ends_at, None);
        }
    }

    #[test]
    fn cancelled_subscription_ends_at_its_date_or_with_its_period() {
        for (fields, ends_at) in [
            (r#", "current_period_end": 300, "cancel_at_period_end": true"#, timestamp(300)),
            (r#", "current_period_end": 300, "cancel_at": 250"#, timestamp(250)),
            (r#", "current_period_end": 300, "cancel_at_period_end": false"#, None),
        ] {
            assert_eq!(snapshot("active", fields).ends_at, ends_at, "{fields}");
        }
    }
}
