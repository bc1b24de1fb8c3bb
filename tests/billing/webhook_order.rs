//! Stripe's events in any order and number: what comes of them is what Stripe says in the end.

use futures_util::{StreamExt, stream};
use pollux::clock::Clock;
use serde_json::{Value, json};

use crate::support::billing::{customer, selling_at};

/// An event's type, and what has happened to the subscription when it is told.
type Move = (&'static str, fn(&mut Value));

/// What happens to a subscription, in this order.
const MOVES: [Move; 6] = [
    ("customer.subscription.created", |one| one["status"] = json!("incomplete")),
    ("invoice.paid", |one| one["status"] = json!("active")),
    ("invoice.payment_failed", |one| one["status"] = json!("past_due")),
    ("invoice.paid", |one| one["status"] = json!("active")),
    ("customer.subscription.updated", |one| one["cancel_at_period_end"] = json!(true)),
    ("customer.subscription.deleted", |one| {
        one["status"] = json!("canceled");
        one["cancel_at_period_end"] = json!(false);
    }),
];

/// All ways to tell events, of which each is still to be told so often.
fn tellings(left: &mut Vec<u32>) -> Vec<Vec<usize>> {
    if left.iter().all(|&times| times == 0) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for next in 0..left.len() {
        if left[next] == 0 {
            continue;
        }
        left[next] -= 1;
        all.extend(tellings(left).into_iter().map(|rest| [vec![next], rest].concat()));
        left[next] += 1;
    }
    all
}

/// A telling in which the events of `mask` come once more, anywhere after they came first.
fn with_duplicates(order: &[usize], mask: usize, random: &mut fastrand::Rng) -> Vec<usize> {
    let mut told = order.to_vec();
    for &event in order.iter().filter(|&&event| mask >> event & 1 == 1) {
        let first = told.iter().position(|&one| one == event).unwrap();
        told.insert(random.usize(first + 1..=told.len()), event);
    }
    told
}

/// Every telling of the first three events, each once or twice; and every order of all of them with some told twice, or
/// with `POLLUX_TEST_ALL` (an hour in debug) each order with all sets of events told twice.
fn all_tellings() -> Vec<Vec<usize>> {
    let random = &mut fastrand::Rng::with_seed(4);
    let mut all = Vec::new();
    for events in 1..=3 {
        for mask in 0..1_usize << events {
            all.extend(tellings(
                &mut (0..events).map(|event| 1 + u32::from(mask >> event & 1 == 1)).collect(),
            ));
        }
    }
    assert_eq!(all.len(), 2 + 14 + 222);
    for order in tellings(&mut vec![1; MOVES.len()]) {
        if std::env::var_os("POLLUX_TEST_ALL").is_some() {
            all.extend((0..1 << MOVES.len()).map(|mask| with_duplicates(&order, mask, random)));
        } else {
            let mask = random.usize(0..1 << MOVES.len());
            all.push(with_duplicates(&order, mask, random));
        }
    }
    all
}

#[tokio::test]
async fn events_in_any_order_and_number_lead_to_what_stripe_says() {
    let all = all_tellings();
    assert!(all.len() >= 238 + 720);
    for some in all.chunks(5000) {
        lead_to_what_stripe_says(some).await;
    }
}

async fn lead_to_what_stripe_says(tellings: &[Vec<usize>]) {
    let app = selling_at(Clock::system(), &["--rate-limits=off"]).await;
    let told = stream::iter(tellings).map(async |telling| {
        let (user, customer) = customer(&app).await;
        let id = app.stripe.subscribe(&customer, "incomplete");
        let mut events = Vec::new();
        for &next in telling {
            // What is told has happened before.
            while events.len() <= next {
                let (kind, change) = MOVES[events.len()];
                events.push(app.stripe.change(&id, kind, change));
            }
            assert_eq!(app.stripe.tell(&user.http, app.address, &events[next]).await, 200);
        }
        (user, id, telling)
    });
    let told: Vec<_> = told.buffer_unordered(16).collect().await;
    app.is_idle().await;
    for (user, id, telling) in told {
        let truth = app.stripe.subscription(&id);
        let status = truth["status"].as_str().unwrap();
        let tier = if ["active", "trialing", "past_due"].contains(&status) { "PRO" } else { "BASIC" };
        let said = user.subscription().await;
        assert_eq!(said["tier"], tier, "{telling:?}");
        assert_eq!(said["state"], status.to_uppercase(), "{telling:?}");
        assert_eq!(said["cancelAtPeriodEnd"], truth["cancel_at_period_end"], "{telling:?}");
    }
    app.stop().await;
}
