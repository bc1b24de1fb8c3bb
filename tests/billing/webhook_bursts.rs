//! A burst of a thousand webhooks, and a worker that is killed while it processes them.

use entity::{job, stripe_event, subscription};
use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait};
use pollux::clock::Clock;
use sea_orm::{ColumnTrait, Database, EntityTrait, PaginatorTrait, QueryFilter};
use tokio::time::timeout;

use crate::support::{
    FakeStripe, Gate, TestUser,
    process::Deployment,
    socket::TEST_TIMEOUT,
    stripe::{Fault, insert_customers},
};

const EVENTS: usize = 1000;
const CUSTOMERS: usize = 200;
/// The number of Stripe events that a worker processes concurrently.
const CONCURRENCY: usize = 8;

#[tokio::test]
async fn events_claimed_by_a_killed_worker_are_processed_by_the_next_worker() {
    let deployment = Deployment::new().await;
    let clock = Clock::system();
    let stripe = FakeStripe::start(clock.clone()).await;
    let settings = stripe.environment();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // On SQLite and memory, one process is both API and worker.
    let has_servers = deployment.backend.redis_url.is_some();
    let worker_arguments: &[&str] = if has_servers { &["worker"] } else { &[] };
    let worker = deployment.start_with(worker_arguments, &settings).await;
    let api = if has_servers { Some(deployment.start_with(&["api"], &settings).await) } else { None };
    let db = Database::connect(&deployment.backend.database_url).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let customers = insert_customers(&db, CUSTOMERS, clock.now()).await;
    let events: Vec<_> = (0..EVENTS)
        .map(|number| {
            let customer = &customers[number % CUSTOMERS];
            if number < CUSTOMERS {
                stripe.create_subscription(customer, "active");
            }
            stripe.event("invoice.paid", serde_json::json!({"object": "invoice", "customer": customer}))
        })
        .collect();
    // The first events that the worker claims wait for Stripe until the worker is killed.
    let unopened_gate = Gate::closed();
    for _ in 0..CONCURRENCY {
        stripe.enqueue_fault(Fault::DelayProcessing(unopened_gate.clone()));
    }
    let address = api.as_ref().unwrap_or(&worker).address;
    let http = TestUser::anonymous(address).http;
    let statuses = join_all(events.iter().map(|event| stripe.deliver(&http, address, event))).await;
    assert!(statuses.iter().all(|&status| status == 200));
    stripe.wait_for_calls("GET /v1/subscriptions", CONCURRENCY).await;
    worker.kill();
    let second_worker = deployment.start_with(worker_arguments, &settings).await;
    let count_remaining = async || {
        let unprocessed = stripe_event::Entity::find().filter(stripe_event::Column::ProcessedAt.is_null());
        unprocessed.count(&db).await.unwrap() + job::Entity::find().count(&db).await.unwrap()
    };
    let done = async { while count_remaining().await > 0 {} };
    timeout(TEST_TIMEOUT, done).await.expect("events are left");
    assert_eq!(stripe_event::Entity::find().count(&db).await.unwrap(), EVENTS as u64);
    let is_active = subscription::Column::State.eq(subscription::State::Active);
    let active = subscription::Entity::find().filter(is_active).count(&db).await.unwrap();
    assert_eq!(active, CUSTOMERS as u64);
    for process in [Some(second_worker), api].into_iter().flatten() {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}
