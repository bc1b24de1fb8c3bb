//! Whatever the order of Stripe's events and however often each is delivered, users end up with the state that Stripe has.

use futures_util::{StreamExt, stream};
use pollux::clock::Clock;
use serde_json::{Value, json};

use crate::support::billing::{billing_app_with, user_with_customer};

/// An event's type, and the change of the subscription that it reports.
type Change = (&'static str, fn(&mut Value));

/// The history of a subscription: `CHANGES[n]` is event `n`.
const CHANGES: [Change; 6] = [
    ("customer.subscription.created", |subscription| subscription["status"] = json!("incomplete")),
    ("invoice.paid", |subscription| subscription["status"] = json!("active")),
    ("invoice.payment_failed", |subscription| subscription["status"] = json!("past_due")),
    ("invoice.paid", |subscription| subscription["status"] = json!("active")),
    ("customer.subscription.updated", |subscription| subscription["cancel_at_period_end"] = json!(true)),
    ("customer.subscription.deleted", |subscription| {
        subscription["status"] = json!("canceled");
        subscription["cancel_at_period_end"] = json!(false);
    }),
];

/// Returns all orders of deliveries in which event `n` occurs `remaining[n]` times. An order contains the numbers of events.
fn orders(remaining: &mut Vec<u32>) -> Vec<Vec<usize>> {
    if remaining.iter().all(|&times| times == 0) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for next in 0..remaining.len() {
        if remaining[next] == 0 {
            continue;
        }
        remaining[next] -= 1;
        all.extend(orders(remaining).into_iter().map(|rest| [vec![next], rest].concat()));
        remaining[next] += 1;
    }
    all
}

/// Returns the order with a duplicate of each event whose bit is set in `mask`, at a random position after the original.
fn with_duplicates(order: &[usize], mask: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let mut deliveries = order.to_vec();
    for &event in order.iter().filter(|&&event| mask >> event & 1 == 1) {
        let first = deliveries.iter().position(|&delivered| delivered == event).unwrap();
        deliveries.insert(random.usize(first + 1..=deliveries.len()), event);
    }
    deliveries
}

/// Returns the orders to test: all orders of the first one, two and three events, in which each event occurs once or twice, and
/// all orders of all events, each with one random set of duplicates. If `POLLUX_TEST_ALL` is set, the latter occur with every
/// set of duplicates, which takes an hour in a debug build.
fn all_orders() -> Vec<Vec<usize>> {
    let random = &mut fastrand::Rng::with_seed(4);
    let mut all = Vec::new();
    for events in 1..=3 {
        for mask in 0..1_usize << events {
            all.extend(orders(&mut (0..events).map(|event| 1 + u32::from(mask >> event & 1 == 1)).collect()));
        }
    }
    // The numbers of orders of one, two and three events.
    assert_eq!(all.len(), 2 + 14 + 222);
    for order in orders(&mut vec![1; CHANGES.len()]) {
        if std::env::var_os("POLLUX_TEST_ALL").is_some() {
            all.extend((0..1 << CHANGES.len()).map(|mask| with_duplicates(&order, mask, random)));
        } else {
            let mask = random.usize(0..1 << CHANGES.len());
            all.push(with_duplicates(&order, mask, random));
        }
    }
    all
}

#[tokio::test]
async fn reordered_and_duplicated_events_lead_to_the_state_at_stripe() {
    let all = all_orders();
    // The 238 orders of up to three events, and at least one for each of the 720 (6!) orders of all events.
    assert!(all.len() >= 238 + 720);
    for chunk in all.chunks(5000) {
        deliver_and_compare(chunk).await;
    }
}

async fn deliver_and_compare(orders: &[Vec<usize>]) {
    let app = billing_app_with(Clock::system(), &["--rate-limits=off"]).await;
    let delivered = stream::iter(orders).map(async |order| {
        let (user, customer) = user_with_customer(&app).await;
        let id = app.stripe.create_subscription(&customer, "incomplete");
        let mut events = Vec::new();
        for &next in order {
            // A subscription changes before the event of the change is delivered.
            while events.len() <= next {
                let (kind, change) = CHANGES[events.len()];
                events.push(app.stripe.update_subscription(&id, kind, change));
            }
            assert_eq!(app.stripe.deliver(&user.http, app.address, &events[next]).await, 200);
        }
        (user, id, order)
    });
    let delivered: Vec<_> = delivered.buffer_unordered(16).collect().await;
    app.wait_until_idle().await;
    for (user, id, order) in delivered {
        let expected = app.stripe.subscription(&id);
        let status = expected["status"].as_str().unwrap();
        let tier = if ["active", "trialing", "past_due"].contains(&status) { "PRO" } else { "BASIC" };
        let actual = user.subscription().await;
        assert_eq!(actual["tier"], tier, "{order:?}");
        assert_eq!(actual["state"], status.to_uppercase(), "{order:?}");
        assert_eq!(actual["cancelAtPeriodEnd"], expected["cancel_at_period_end"], "{order:?}");
    }
    app.stop().await;
}
