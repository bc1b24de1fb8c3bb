//! How long a webhook of Stripe's waits for its 200 when a thousand come at once, and how soon all have been seen to.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pollux::config::Role;
use serde_json::json;
use support::{
    Backend, TestApp,
    app::Wishes,
    stripe::{WEBHOOK_SECRET, customers, sign},
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
    let node =
        async |role, beside| TestApp::with(Wishes { sells: true, role, beside, ..Wishes::default() }).await;
    let app = node(shared.then_some(Role::Api), None).await;
    let worker = if shared { Some(node(Some(Role::Worker), Some(&app)).await) } else { None };
    let customers = customers(app.chat.db.write(), EVENTS, app.clock.now()).await;
    for customer in &customers {
        app.stripe.subscribe(customer, "active");
    }
    for _ in 0..ROUNDS {
        let mut connections = Vec::new();
        for customer in &customers {
            let object = json!({"id": "in_1", "object": "invoice", "customer": customer, "status": "paid"});
            let body = app.stripe.event("invoice.paid", object).to_string();
            let signature = sign(&body, app.clock.now().timestamp(), WEBHOOK_SECRET);
            let request = format!(
                "POST /webhook/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            connections.push((TcpStream::connect(app.address).await.unwrap(), request));
        }
        let begun = Instant::now();
        let answers =
            connections.into_iter().map(|(connection, request)| tokio::spawn(answered(connection, request)));
        let mut times: Vec<_> = join_all(answers).await.into_iter().map(Result::unwrap).collect();
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

/// How long a request waits for its 200. A client that costs next to nothing, on the same cores.
async fn answered(mut connection: TcpStream, request: String) -> Duration {
    let sent = Instant::now();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let read = connection.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    sent.elapsed()
}
