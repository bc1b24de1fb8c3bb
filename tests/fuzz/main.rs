//! Documents and variables that nobody would write, against a running server: none is answered by a fault of the server's,
//! and in the end it has no more in memory than before. `make fuzz`.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

mod documents;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use clap::Parser;
use futures_util::{StreamExt, future::join_all, stream};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use support::{
    TestUser,
    process::{Process, Site},
};

/// Answers that may differ by this much in what the allocator keeps.
const SLACK: u64 = 24 * 1024 * 1024;
const AT_ONCE: usize = 16;
/// What one request may take.
const CPU: Duration = Duration::from_secs(1);
const MEMORY: u64 = 64 * 1024 * 1024;
/// What the account has that a query may ask for.
const CHATROOMS: usize = 100;
const VERSIONS: usize = 20;
const SESSIONS: usize = 10;
const WARM_UP: usize = 1500;
const LOGIN: &str = r#"mutation {
    login(input: { phoneNumber: "+14155550124", password: "wrong horse" }) { accessToken }
}"#;

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value = "20000")]
    cases: usize,
    /// Tells which cases; printed by each run
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() {
    let Cli { cases, seed } = Cli::parse();
    let site = Site::new().await;
    let server = site.start_with(&[], &[("RATE_LIMITS", "off"), ("BASIC_DAILY_LIMIT", "1000000")]).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    let ids = prepared(&user).await;
    // Regressions first, and then what is new.
    let kept = include_str!("seeds.txt").lines().filter_map(|line| line.parse().ok());
    let fresh = seed.unwrap_or_else(|| fastrand::u64(..));
    let seeds: Vec<u64> = match seed {
        Some(seed) => vec![seed],
        None => kept.chain([fresh]).collect(),
    };
    let each = cases / seeds.len();
    // What the first ones cost once: pools, caches, what passwords are computed in, and what the allocator keeps.
    let login = json!({ "query": LOGIN });
    join_all((0..AT_ONCE).map(|_| answered(&user, &login))).await;
    run(&user, &ids, 1, (cases / 4).max(WARM_UP)).await;
    let before = server.memory();
    let mut told = [0_u64; 3];
    for seed in seeds {
        println!("seed {seed}: {each} cases");
        let counted = run(&user, &ids, seed, each).await;
        told.iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
    }
    let after = server.memory();
    frugal(&server, &user, &ids, fresh, (cases / 20).max(100)).await;
    println!(
        "{} cases: {} with data, {} refused before they ran, {} with errors of fields; 0 faults; \
         the server had {} MiB before and has {} MiB now",
        told.iter().sum::<u64>(),
        told[0],
        told[1],
        told[2],
        before >> 20,
        after >> 20
    );
    assert!(after <= before + SLACK, "the server has grown");
    assert_eq!(user.data("{ me { id } }", json!({})).await["me"]["id"], user.id.as_str());
    server.terminate();
    assert!(server.ended().await, "the server did not end well");
}

/// An account with many chatrooms, versions of a reply and sessions.
async fn prepared(user: &TestUser) -> Vec<String> {
    for _ in 0..CHATROOMS {
        user.room("x").await;
    }
    let room = user.room("x").await;
    let mut reply = room.ask("hi").await.reply;
    for _ in 0..VERSIONS {
        user.read(&reply).await;
        reply = user.regenerate(&reply).await.unwrap().reply;
    }
    user.read(&reply).await;
    let change = "mutation { changePassword(input: { newPassword: \"correct horse\" }) { user { id } } }";
    user.data(change, json!({})).await;
    let login = "mutation($phone: PhoneNumber!) {
        login(input: { phoneNumber: $phone, password: \"correct horse\" }) { accessToken } }";
    for _ in 0..SESSIONS {
        user.data(login, json!({ "phone": user.phone_number })).await;
    }
    vec![room.id, reply, user.id.clone()]
}

fn requests(ids: &[String], seed: u64, cases: usize) -> impl Iterator<Item = Value> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = documents::requests(ids);
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current()).take(cases)
}

/// Sends requests one by one: none takes more CPU time or memory than one may.
async fn frugal(server: &Process, user: &TestUser, ids: &[String], seed: u64, cases: usize) {
    let (mut most_cpu, mut most_memory) = (Duration::ZERO, 0);
    for request in requests(ids, seed, cases) {
        let (cpu, memory) = (server.cpu(), server.memory());
        server.reset_peak();
        answered(user, &request).await;
        let (cpu, memory) = (server.cpu().saturating_sub(cpu), server.peak().saturating_sub(memory));
        assert!(cpu <= CPU && memory <= MEMORY, "{cpu:?} and {memory} bytes for {request}");
        (most_cpu, most_memory) = (most_cpu.max(cpu), most_memory.max(memory));
    }
    println!(
        "{cases} cases one by one: at most {} ms of CPU time and {} MiB",
        most_cpu.as_millis(),
        most_memory >> 20
    );
}

/// How many were answered with data, refused, and answered with errors.
async fn run(user: &TestUser, ids: &[String], seed: u64, cases: usize) -> [u64; 3] {
    let requests = requests(ids, seed, cases);
    let answers = stream::iter(requests).map(async |request| answered(user, &request).await);
    let mut told = [0; 3];
    let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
    while let Some(which) = answers.next().await {
        told[which] += 1;
    }
    told
}

async fn answered(user: &TestUser, request: &Value) -> usize {
    let post = user.http.post(format!("http://{}/graphql", user.address)).bearer_auth(&user.token);
    let answer = post.json(request).send().await.expect("the server answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let fault = |why: &str| -> ! { panic!("{why}: {status} {text}\nto {request}") };
    let Ok(answer) = serde_json::from_str::<Value>(&text) else { fault("no JSON") };
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        match error["extensions"]["code"].as_str() {
            None => fault("an error without a code"),
            Some("INTERNAL_SERVER_ERROR") => fault("a fault of the server's"),
            Some(_) => {}
        }
    }
    if status >= 500 {
        fault("a status of the server's");
    }
    match (errors.is_empty(), answer.get("data")) {
        (true, _) => 0,
        (false, None) => 1,
        (false, Some(_)) => 2,
    }
}
