//! Documents over a limit: how long their rejection takes on the slowest transport.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{installation::Installation, latencies::Latencies, report::Section, support::TestUser};

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
            for time in 0..2 * TIMES {
                let took = reject(&user, transport, &document).await;
                // The first half warms up.
                if time >= TIMES {
                    times.push(took);
                }
            }
            slowest = slowest.max(times.percentile(50));
        }
        section.add(&format!("rejection of {name}"), "ms", slowest);
    }
    servers.stop().await;
}

fn documents() -> [(&'static str, String); 3] {
    let message = |n: usize| format!("lastMessage {{ chatroom {{ ...F{n} }} }}");
    let fork = |n: usize| format!("fragment F{n} on Chatroom {{ a: {0} b: {0} }}", message(n + 1));
    let forks: Vec<_> = (0..20).map(fork).collect();
    let aliases: Vec<_> = (0..10_000).map(|n| format!("a{n}:me{{id}}")).collect();
    [
        ("20 nested fragments, each spread twice", {
            let last = "fragment F20 on Chatroom { id }";
            format!("{{ chatrooms {{ nodes {{ ...F0 }} }} }} {} {last}", forks.join(" "))
        }),
        ("10,000 aliases", format!("{{ {} }}", aliases.join(" "))),
        ("100,000 tokens", format!("{{{}}}", "a ".repeat(100_000 - 2))),
    ]
}

/// The duration of one rejection.
async fn reject(user: &TestUser, transport: &str, document: &str) -> Duration {
    if transport == "WebSocket" {
        let mut socket = user.socket().await;
        let started = Instant::now();
        socket.subscribe("1", document, &json!({})).await;
        match socket.next().await {
            Ok(message) => assert_eq!(message["payload"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX"),
            Err((code, _)) => assert_eq!((code, document.len() > 64 * 1024), (1009, true)),
        }
        return started.elapsed();
    }
    let accept = match transport {
        "SSE" => "text/event-stream",
        "multipart" => "multipart/mixed;subscriptionSpec=1.0",
        _ => "application/json",
    };
    let one = json!({ "query": document });
    let body = if transport == "batch" { json!([one]) } else { one };
    let request = user.http.post(format!("http://{}/graphql", user.address)).header("accept", accept);
    let request = request.json(&body);
    let started = Instant::now();
    let response = request.send().await.unwrap().text().await.unwrap();
    let took = started.elapsed();
    assert!(response.contains("QUERY_TOO_COMPLEX"), "{response}");
    took
}
