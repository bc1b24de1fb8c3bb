//! A burst of Stripe webhooks: how long each waits for its response, and how fast their events are processed.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use pollux::{clock::Clock, store::commit};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{ROUNDS, as_f64};
use crate::{
    installation::Installation,
    latencies::Latencies,
    report::Section,
    support::{
        FakeStripe,
        stripe::{WEBHOOK_SECRET, insert_customers, sign},
    },
};

const EVENTS: usize = 1000;

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let stripe = FakeStripe::start(Clock::system()).await;
    let tx = installation.db.begin().await.unwrap();
    let customers = insert_customers(&tx, EVENTS, Clock::system().now()).await;
    commit(tx).await.unwrap();
    for customer in &customers {
        stripe.create_subscription(customer, "active");
    }
    let settings = stripe.environment();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let servers = installation.start(&settings).await;
    for _ in 0..ROUNDS {
        let mut rejected = send(servers.address(), &stripe, &customers, "whsec_other").await;
        section.add("webhook with an invalid signature, p99", "ms", rejected.percentile(99));
        let started = Instant::now();
        let mut stored = send(servers.address(), &stripe, &customers, WEBHOOK_SECRET).await;
        section.add("webhook, p50", "ms", stored.percentile(50));
        section.add("webhook, p99", "ms", stored.percentile(99));
        installation.wait_until_idle().await;
        section.add("events processed", "1/s", as_f64(EVENTS) / started.elapsed().as_secs_f64());
    }
    servers.stop().await;
}

/// Sends one event for each customer, all at the same time, and returns the response times.
async fn send(address: SocketAddr, stripe: &FakeStripe, customers: &[String], secret: &str) -> Latencies {
    let mut connections = Vec::new();
    for customer in customers {
        let object = json!({"id": "in_1", "object": "invoice", "customer": customer, "status": "paid"});
        let body = stripe.event("invoice.paid", object).to_string();
        let signature = sign(&body, Clock::system().now().timestamp(), secret);
        let request = format!(
            "POST /webhook/stripe HTTP/1.1\r\nhost: 127.0.0.1\r\nstripe-signature: {signature}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connections.push((TcpStream::connect(address).await.unwrap(), request));
    }
    let status = if secret == WEBHOOK_SECRET { "200" } else { "400" };
    let responses = connections
        .into_iter()
        .map(|(connection, request)| tokio::spawn(response_time(connection, request, status)));
    let mut times = Latencies::default();
    // The connections are closed only after all responses have arrived: Stripe does not disconnect earlier either.
    for (time, _) in join_all(responses).await.into_iter().map(Result::unwrap).collect::<Vec<_>>() {
        times.push(time);
    }
    times
}

/// The response time of a request, and its connection.
async fn response_time(mut connection: TcpStream, request: String, status: &str) -> (Duration, TcpStream) {
    let sent = Instant::now();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = [0; 1024];
    let read = connection.read(&mut response).await.unwrap();
    assert!(response[..read].starts_with(format!("HTTP/1.1 {status}").as_bytes()));
    (sent.elapsed(), connection)
}
