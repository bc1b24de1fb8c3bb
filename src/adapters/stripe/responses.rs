//! Of Stripe's answers, what is needed.

use anyhow::anyhow;
use entity::{Timestamp, checkout, subscription::State};
use miniserde::Deserialize;

use crate::ports::payments::{Checkout, Price, Result, Subscribed};

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct Portal {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct Session {
    id: String,
    status: Option<String>,
    url: Option<String>,
}

impl Session {
    pub(super) fn read(self) -> Result<Checkout> {
        let status = match self.status.as_deref() {
            Some("open") => checkout::Status::Open,
            Some("complete") => checkout::Status::Complete,
            Some("expired") => checkout::Status::Expired,
            other => return Err(anyhow!("Stripe: a checkout of status {other:?}").into()),
        };
        Ok(Checkout { id: self.id, status, url: self.url })
    }
}

#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
}

/// <https://docs.stripe.com/api/subscriptions/object>. Since the version 2025-03-31 the period is on the items.
#[derive(Deserialize)]
pub(super) struct Subscription {
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

/// <https://docs.stripe.com/billing/subscriptions/pause-payment>: the status stays what it was.
#[derive(Deserialize)]
struct PauseCollection {}

#[derive(Deserialize)]
struct Items {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: Option<PriceAnswer>,
    current_period_start: Option<i64>,
    current_period_end: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct PriceAnswer {
    id: String,
    pub(super) product: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Charge {
    pub(super) customer: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Invoice {
    pub(super) created: i64,
}

impl Subscription {
    pub(super) fn read(self) -> Subscribed {
        let items = self.items.map(|items| items.data).unwrap_or_default();
        let start = items.iter().filter_map(|item| item.current_period_start).max();
        let end = items.iter().filter_map(|item| item.current_period_end).min();
        let period_end = end.or(self.current_period_end);
        let ends = self.cancel_at.or(period_end.filter(|_| self.cancel_at_period_end == Some(true)));
        let state = match state(&self.status) {
            State::Active | State::Trialing if self.pause_collection.is_some() => State::Paused,
            state => state,
        };
        let prices = items.into_iter().filter_map(|item| item.price);
        Subscribed {
            id: self.id,
            state,
            prices: prices.map(|price| Price { id: price.id, product: price.product }).collect(),
            may_be_replaced: matches!(&*self.status, "incomplete" | "unpaid" | "paused"),
            created_at: time(self.created).unwrap_or_default(),
            period_start: start.or(self.current_period_start).and_then(time),
            period_end: period_end.and_then(time),
            ends_at: ends.and_then(time),
            unpaid_since: None,
        }
    }
}

pub(super) fn time(unix: i64) -> Option<Timestamp> {
    Timestamp::from_timestamp(unix, 0)
}

fn state(status: &str) -> State {
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
