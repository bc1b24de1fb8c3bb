//! Documents over a limit: how long their rejection takes on the slowest transport.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{installation::Installation, latencies::Latencies, report::Section, support::TestUser};

/// How many rejections are measured on each transport, after as many that warm up.
const TIMES: usize = 30;
const TRANSPORTS: [&str; 5] = ["POST", "batch", "SSE", "multipart", "WebSocket"];

pub async fn measure(section: &mut Section<'_>) {
    let installation = Installation::create(section.storage).await;
    let servers = installation.start(&[]).await;
    let user = TestUser::sign_in(servers.address(), "+14155550123").await;
    for (name, document) in documents() {
        let mut slowest: f64 = 0.0;
        for transport in TRANSPORTS {
            let mut times = Latencies::default();
            for repetition in 0..2 * TIMES {
                let duration = time_to_rejection(&user, transport, &document).await;
                // The first half warms up.
                if repetition >= TIMES {
                    times.push(duration);
                }
            }
            slowest = slowest.max(times.percentile(50));
        }
        section.add(&format!("rejection of {name}"), "ms", slowest);
    }
    servers.stop().await;
}

/// The documents, with their names in the table.
fn documents() -> [(&'static str, String); 3] {
    // Each fragment spreads the next one twice, so that an executor would reach the last one 2^20 times.
    let message = |n: usize| format!("lastMessage {{ chatroom {{ ...F{n} }} }}");
    let fragment = |n: usize| format!("fragment F{n} on Chatroom {{ a: {0} b: {0} }}", message(n + 1));
    let fragments: Vec<_> = (0..20).map(fragment).collect();
    let aliases: Vec<_> = (0..10_000).map(|n| format!("a{n}:me{{id}}")).collect();
    [
        ("20 nested fragments, each spread twice", {
            let last = "fragment F20 on Chatroom { id }";
            format!("{{ chatrooms {{ nodes {{ ...F0 }} }} }} {} {last}", fragments.join(" "))
        }),
        ("10,000 aliases", format!("{{ {} }}", aliases.join(" "))),
        ("100,000 tokens", format!("{{{}}}", "a ".repeat(100_000 - 2))),
    ]
}

/// Sends a document, and returns the time until its rejection has arrived.
async fn time_to_rejection(user: &TestUser, transport: &str, document: &str) -> Duration {
    if transport == "WebSocket" {
        let mut socket = user.socket().await;
        let started = Instant::now();
        socket.subscribe("1", document, &json!({})).await;
        match socket.next().await {
            Ok(message) => assert_eq!(message["payload"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX"),
            // The server may also close the socket because the message is too long.
            Err((code, _)) => assert_eq!((code, document.len() > 64 * 1024), (1009, true)),
        }
        return started.elapsed();
    }
    let accept = match transport {
        "SSE" => "text/event-stream",
        "multipart" => "multipart/mixed;subscriptionSpec=1.0",
        _ => "application/json",
    };
    let operation = json!({ "query": document });
    let body = if transport == "batch" { json!([operation]) } else { operation };
    let request = user.http.post(format!("http://{}/graphql", user.address)).header("accept", accept);
    let request = request.json(&body);
    let started = Instant::now();
    let response = request.send().await.unwrap().text().await.unwrap();
    let duration = started.elapsed();
    assert!(response.contains("QUERY_TOO_COMPLEX"), "{response}");
    duration
}
