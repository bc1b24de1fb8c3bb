//! How long a webhook of Stripe's waits for its 200 when a thousand come at once, and how soon all have been seen to.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use futures_util::future::join_all;
use pollux::config::Role;
use serde_json::json;
use support::{
    Backend, TestApp,
    app::Wishes,
    stripe::{WEBHOOK_SECRET, customers, post_webhook, sign},
};

const EVENTS: usize = 1000;
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let shared = Backend::servers().is_some();
    println!(
        "{}",
        if shared { "PostgreSQL + Redis, an API node and a worker" } else { "SQLite + memory, one process" }
    );
    let node =
        async |role, beside| TestApp::with(Wishes { sells: true, role, beside, ..Wishes::default() }).await;
    let app = node(shared.then_some(Role::Api), None).await;
    let worker = if shared { Some(node(Some(Role::Worker), Some(&app)).await) } else { None };
    let customers = customers(app.chat.db.write(), EVENTS, app.clock.now()).await;
    for customer in &customers {
        app.stripe.subscribe(customer, "active");
    }
    let http = app.stranger().http;
    for _ in 0..ROUNDS {
        let webhooks = customers.iter().map(|customer| {
            let object = json!({"id": "in_1", "object": "invoice", "customer": customer, "status": "paid"});
            let body = app.stripe.event("invoice.paid", object).to_string();
            let signature = sign(&body, app.clock.now().timestamp(), WEBHOOK_SECRET);
            (body, signature)
        });
        let webhooks: Vec<_> = webhooks.collect();
        let begun = Instant::now();
        let answers = webhooks.into_iter().map(async |(body, signature)| {
            let sent = Instant::now();
            assert_eq!(post_webhook(&http, app.address, body, &signature).await.0, 200);
            sent.elapsed()
        });
        let mut times = join_all(answers).await;
        let all = begun.elapsed();
        app.is_idle().await;
        times.sort();
        println!(
            "{EVENTS} webhooks at once: median {:.1} ms, p99 {:.1} ms, all {:.1} ms; all seen to after {:.1} s",
            times[EVENTS / 2].as_secs_f64() * 1e3,
            times[EVENTS * 99 / 100].as_secs_f64() * 1e3,
            all.as_secs_f64() * 1e3,
            begun.elapsed().as_secs_f64(),
        );
    }
    if let Some(worker) = worker {
        worker.end().await;
    }
    app.stop().await;
}
