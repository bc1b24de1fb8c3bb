//! Measures the time and memory of rejecting documents over a limit on each transport, and whether the response time of
//! sendOtp, login and forgotPassword reveals that a phone number is registered.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Backend, TestUser, code_of, process::Deployment, user::SEND_OTP};

const TIMES: usize = 50;
const ROUNDS: usize = 1000;
/// The positions of the registered and the two unregistered numbers among the three numbers of a round.
const KNOWN: usize = 0;
const UNKNOWN: [usize; 2] = [1, 2];
const PASSWORD: &str = "correct horse";

#[tokio::main]
async fn main() {
    println!("{}", if Backend::servers().is_some() { "PostgreSQL + Redis" } else { "SQLite + memory" });
    let deployment = Deployment::new().await;
    measure_rejections(&deployment).await;
    measure_timing_leak(&deployment).await;
}

fn documents() -> [(&'static str, String); 3] {
    let link = |n: usize| format!("fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1);
    let links: Vec<_> = (0..30).map(link).collect();
    let aliases: Vec<_> = (0..10_000).map(|n| format!("a{n}:me{{id}}")).collect();
    [
        ("30 fragments, each spread twice", {
            format!("{{ ...F0 }} {} fragment F30 on Query {{ __typename }}", links.join(" "))
        }),
        ("10,000 aliases", format!("{{ {} }}", aliases.join(" "))),
        ("100,000 tokens", format!("{{{}}}", "a ".repeat(100_000 - 2))),
    ]
}

async fn measure_rejections(deployment: &Deployment) {
    let server = deployment.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    for (name, document) in documents() {
        for transport in ["POST", "batch", "SSE", "multipart", "WebSocket"] {
            let mut times = Vec::new();
            // Warm-up.
            for _ in 0..TIMES {
                reject(&user, transport, &document).await;
            }
            let before = server.memory();
            for _ in 0..TIMES {
                times.push(reject(&user, transport, &document).await);
            }
            times.sort();
            let grown = server.memory().saturating_sub(before) >> 10;
            println!(
                "{name}, {transport}: rejected in {:.2} ms (median), {:.2} ms (slowest of {TIMES}); \
                 the server grew by {grown} KiB over all of them",
                times[TIMES / 2].as_secs_f64() * 1e3,
                times[TIMES - 1].as_secs_f64() * 1e3,
            );
        }
    }
    server.terminate();
    assert!(server.wait_for_exit().await);
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

/// Compares response times for a registered number and for two unregistered ones in random order. The difference between
/// the unregistered ones is the noise.
async fn measure_timing_leak(deployment: &Deployment) {
    let server = deployment.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let anonymous = TestUser::anonymous(server.address);
    let number = |round: usize, which: usize| format!("+1415{}", 2_000_000 + 3 * round + which);
    let change = "mutation($new: String!) { changePassword(input: { newPassword: $new }) { user { id } } }";
    // In each round one number gets a user with a password. All three numbers receive one code.
    for round in 0..ROUNDS {
        let known = anonymous.sign_in_as(&number(round, KNOWN)).await;
        known.data(change, json!({ "new": PASSWORD })).await;
        for which in UNKNOWN {
            anonymous.data(SEND_OTP, json!({"phone": number(round, which)})).await;
        }
    }
    let otp = |field| {
        format!(
            "mutation($phone: PhoneNumber!) {{ {field}(input: {{ phoneNumber: $phone }}) {{ resendAt }} }}"
        )
    };
    let login = "mutation($phone: PhoneNumber!) {
        login(input: { phoneNumber: $phone, password: \"wrong horse\" }) { accessToken }
    }";
    let random = &mut fastrand::Rng::with_seed(6);
    for (name, query) in
        [("sendOtp", otp("sendOtp")), ("login", login.to_owned()), ("forgotPassword", otp("forgotPassword"))]
    {
        let mut took = vec![[0.0; 3]; ROUNDS];
        for (round, took) in took.iter_mut().enumerate() {
            let mut order = [KNOWN, UNKNOWN[0], UNKNOWN[1]];
            random.shuffle(&mut order);
            for which in order {
                let started = Instant::now();
                let response = anonymous.execute(&query, json!({"phone": number(round, which)})).await;
                took[which] = started.elapsed().as_secs_f64() * 1e6;
                assert!(["no error", "UNAUTHENTICATED"].contains(&code_of(&response)), "{response}");
            }
        }
        let differences = |one: usize, other: usize| -> String {
            let differences: Vec<f64> = took.iter().map(|took| took[one] - took[other]).collect();
            let (low, high) = interval(&differences);
            format!("{:.1} us ({low:.1} to {high:.1} at 95 %)", median(&differences))
        };
        println!(
            "{name}: {:.0} us; the median difference of {ROUNDS} is {} between known and unknown, and {} between \
             unknown and unknown",
            median(&took.iter().map(|took| took[KNOWN]).collect::<Vec<_>>()),
            differences(KNOWN, UNKNOWN[0]),
            differences(UNKNOWN[1], UNKNOWN[0]),
        );
    }
    server.terminate();
    assert!(server.wait_for_exit().await);
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

/// The 95 % confidence interval of the median, by order statistics.
fn interval(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small counts"
    )]
    let away = (0.98 * (values.len() as f64).sqrt()).ceil() as usize;
    let middle = values.len() / 2;
    (sorted[middle - away], sorted[middle + away])
}
