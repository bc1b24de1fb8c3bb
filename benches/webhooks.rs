//! A burst of a thousand Stripe webhooks: how long each waits for its response, and when all events have been processed.

#![allow(clippy::unwrap_used, reason = "a failed step ends the benchmark")]
#![allow(clippy::disallowed_methods, reason = "the benchmark awaits every task that it spawns")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pollux::{config::Role, store::commit};
use serde_json::json;
use support::{
    Backend, TestApp,
    app::TestOptions,
    stripe::{WEBHOOK_SECRET, insert_customers, sign},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
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
    let node = async |role, peer| {
        TestApp::with(TestOptions { billing: true, role, peer, ..TestOptions::default() }).await
    };
    let app = node(shared.then_some(Role::Api), None).await;
    let worker = if shared { Some(node(Some(Role::Worker), Some(&app)).await) } else { None };
    let tx = app.chatrooms.db.begin().await.unwrap();
    let customers = insert_customers(&tx, EVENTS, app.clock.now()).await;
    commit(tx).await.unwrap();
    for customer in &customers {
        app.stripe.create_subscription(customer, "active");
    }
    for _ in 0..ROUNDS {
        let rejected = round(&app, &customers, "whsec_other").await;
        app.wait_until_idle().await;
        let started = Instant::now();
        let stored = round(&app, &customers, WEBHOOK_SECRET).await;
        app.wait_until_idle().await;
        println!(
            "{EVENTS} concurrent webhooks: {rejected} with an invalid signature, {stored} stored; \
             all processed after {:.1} s",
            started.elapsed().as_secs_f64(),
        );
    }
    if let Some(worker) = worker {
        worker.shut_down().await;
    }
    app.stop().await;
}

/// Sends one event for each customer, concurrently. Returns the median and the 99th percentile of the response times.
async fn round(app: &TestApp, customers: &[String], secret: &str) -> String {
    let mut connections = Vec::new();
    for customer in customers {
        let object = json!({"id": "in_1", "object": "invoice", "customer": customer, "status": "paid"});
        let body = app.stripe.event("invoice.paid", object).to_string();
        let signature = sign(&body, app.clock.now().timestamp(), secret);
        let request = format!(
            "POST /webhook/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connections.push((TcpStream::connect(app.address).await.unwrap(), request));
    }
    let status = if secret == WEBHOOK_SECRET { "200" } else { "400" };
    let responses = connections
        .into_iter()
        .map(|(connection, request)| tokio::spawn(response_time(connection, request, status)));
    let (mut times, open): (Vec<_>, Vec<_>) =
        join_all(responses).await.into_iter().map(Result::unwrap).unzip();
    // Like Stripe, no client disconnects before all have their responses.
    drop(open);
    times.sort();
    let millis = |at: usize| times[at].as_secs_f64() * 1e3;
    format!("median {:.1} ms, p99 {:.1} ms", millis(EVENTS / 2), millis(EVENTS * 99 / 100))
}

/// The response time of a request, and its connection. The client is minimal, because it shares the cores with the server.
async fn response_time(mut connection: TcpStream, request: String, status: &str) -> (Duration, TcpStream) {
    let sent = Instant::now();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = [0; 1024];
    let read = connection.read(&mut response).await.unwrap();
    assert!(response[..read].starts_with(format!("HTTP/1.1 {status}").as_bytes()));
    (sent.elapsed(), connection)
}
