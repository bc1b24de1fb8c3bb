//! What it costs to refuse, and what refusing tells: documents past their limits over each transport, in time and memory; and
//! the time of sendOtp, login and forgotPassword for numbers that are known and for such as are not, in turns.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Backend, TestUser, code_of, process::Site, user::SEND_OTP};

const TIMES: usize = 50;
const ROUNDS: usize = 1000;
const KNOWN: usize = 0;
const UNKNOWN: [usize; 2] = [1, 2];
const PASSWORD: &str = "correct horse";

#[tokio::main]
async fn main() {
    println!("{}", if Backend::servers().is_some() { "PostgreSQL + Redis" } else { "SQLite + memory" });
    let site = Site::new().await;
    refusals(&site).await;
    tells(&site).await;
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

async fn refusals(site: &Site) {
    let server = site.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    for (name, document) in documents() {
        for transport in ["POST", "batch", "SSE", "multipart", "WebSocket"] {
            let mut times = Vec::new();
            // What the first ones cost once.
            for _ in 0..TIMES {
                refused(&user, transport, &document).await;
            }
            let before = server.memory();
            for _ in 0..TIMES {
                times.push(refused(&user, transport, &document).await);
            }
            times.sort();
            let grown = server.memory().saturating_sub(before) >> 10;
            println!(
                "{name}, {transport}: refused in {:.2} ms (median), {:.2} ms (slowest of {TIMES}); \
                 the server grew by {grown} KiB over all of them",
                times[TIMES / 2].as_secs_f64() * 1e3,
                times[TIMES - 1].as_secs_f64() * 1e3,
            );
        }
    }
    server.terminate();
    assert!(server.ended().await);
}

/// How long a refusal takes.
async fn refused(user: &TestUser, transport: &str, document: &str) -> Duration {
    if transport == "WebSocket" {
        let mut socket = user.socket().await;
        let begun = Instant::now();
        socket.subscribe("1", document, &json!({})).await;
        match socket.next().await {
            Ok(said) => assert_eq!(said["payload"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX"),
            Err((code, _)) => assert_eq!((code, document.len() > 64 * 1024), (1009, true)),
        }
        return begun.elapsed();
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
    let begun = Instant::now();
    let answer = request.send().await.unwrap().text().await.unwrap();
    let took = begun.elapsed();
    assert!(answer.contains("QUERY_TOO_COMPLEX"), "{answer}");
    took
}

/// Whether the time of an answer tells if a number is known: asked of one that is and of two that are not, in turns. How far
/// those two are apart is the noise.
async fn tells(site: &Site) {
    let server = site.start_with(&[], &[("RATE_LIMITS", "off")]).await;
    let stranger = TestUser::stranger(server.address);
    let number = |round: usize, which: usize| format!("+1415{}", 2_000_000 + 3 * round + which);
    let change = "mutation($new: String!) { changePassword(input: { newPassword: $new }) { user { id } } }";
    // Apart from that, they have the same behind them.
    for round in 0..ROUNDS {
        let known = stranger.signed_in(&number(round, KNOWN)).await;
        known.data(change, json!({ "new": PASSWORD })).await;
        for which in UNKNOWN {
            stranger.data(SEND_OTP, json!({"phone": number(round, which)})).await;
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
                let begun = Instant::now();
                let answer = stranger.ask_api(&query, json!({"phone": number(round, which)})).await;
                took[which] = begun.elapsed().as_secs_f64() * 1e6;
                assert!(["no error", "UNAUTHENTICATED"].contains(&code_of(&answer)), "{answer}");
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
    assert!(server.ended().await);
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

/// Between which values a median lies at 95 %, by its order statistics.
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
