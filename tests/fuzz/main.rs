//! Sends random documents and variables to a server: none may cause a server error, and memory must not grow. Run by
//! `make fuzz`.

#![allow(clippy::unwrap_used, reason = "a program without a caller fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tasks are awaited where they are spawned")]

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
    process::{Deployment, Process},
};

/// By how many bytes the server's memory may grow. The allocator keeps some freed memory, which is no leak.
const MAX_GROWTH: u64 = 24 * 1024 * 1024;
const CONCURRENCY: usize = 16;
/// The maximum CPU time of one request.
const MAX_CPU: Duration = Duration::from_secs(1);
/// The maximum memory of one request, in bytes.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
/// The number of chatrooms that the user has.
const CHATROOMS: usize = 100;
/// The number of alternatives of one reply.
const ALTERNATIVES: usize = 20;
/// The number of additional sessions of the user.
const SESSIONS: usize = 10;
/// The minimum number of requests before the memory is measured.
const WARM_UP: usize = 1500;
const LOGIN: &str = r#"mutation {
    login(input: { phoneNumber: "+14155550124", password: "wrong horse" }) { accessToken }
}"#;

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value = "20000")]
    cases: usize,
    /// Selects the cases. By default, the seeds of past failures and a new one. Each run prints its seeds.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() {
    let Cli { cases, seed } = Cli::parse();
    let deployment = Deployment::new().await;
    let server =
        deployment.start_with(&[], &[("RATE_LIMITS", "off"), ("BASIC_DAILY_LIMIT", "1000000")]).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    let ids = prepare(&user).await;
    let past_failures = include_str!("seeds.txt").lines().filter_map(|line| line.parse().ok());
    let new_seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let seeds: Vec<u64> = match seed {
        Some(seed) => vec![seed],
        None => past_failures.chain([new_seed]).collect(),
    };
    let cases_per_seed = cases / seeds.len();
    // Warms up pools, caches, password hashing and the allocator.
    let login = json!({ "query": LOGIN });
    join_all((0..CONCURRENCY).map(|_| send(&user, &login))).await;
    run(&user, &ids, 1, (cases / 4).max(WARM_UP)).await;
    let memory_before = server.memory();
    let mut counts = [0_u64; 3];
    for seed in seeds {
        println!("seed {seed}: {cases_per_seed} cases");
        let counted = run(&user, &ids, seed, cases_per_seed).await;
        counts.iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
    }
    let memory_after = server.memory();
    check_costs(&server, &user, &ids, new_seed, (cases / 20).max(100)).await;
    println!(
        "{} cases: {} with data, {} rejected before execution, {} with field errors; 0 server errors; \
         the server had {} MiB before and has {} MiB now",
        counts.iter().sum::<u64>(),
        counts[0],
        counts[1],
        counts[2],
        memory_before >> 20,
        memory_after >> 20
    );
    assert!(memory_after <= memory_before + MAX_GROWTH, "the memory of the server has grown");
    assert_eq!(user.data("{ me { id } }", json!({})).await["me"]["id"], user.id.as_str());
    server.terminate();
    assert!(server.wait_for_exit().await, "the server exited with an error");
}

/// Creates many chatrooms, alternatives of a reply and sessions. Returns the ids of a chatroom, a reply and the user.
async fn prepare(user: &TestUser) -> Vec<String> {
    for _ in 0..CHATROOMS {
        user.create_chatroom("x").await;
    }
    let chatroom = user.create_chatroom("x").await;
    let mut reply = chatroom.send("hi").await.reply;
    for _ in 0..ALTERNATIVES {
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
    vec![chatroom.id, reply, user.id.clone()]
}

/// Generates requests. The same seed generates the same ones.
fn requests(ids: &[String], seed: u64, cases: usize) -> impl Iterator<Item = Value> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = documents::requests(ids);
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current()).take(cases)
}

/// Sends requests one by one and checks the CPU time and memory of each.
async fn check_costs(server: &Process, user: &TestUser, ids: &[String], seed: u64, cases: usize) {
    let (mut most_cpu, mut most_memory) = (Duration::ZERO, 0);
    for request in requests(ids, seed, cases) {
        let (cpu_before, memory_before) = (server.cpu(), server.memory());
        server.reset_peak_memory();
        send(user, &request).await;
        let (cpu, memory) =
            (server.cpu().saturating_sub(cpu_before), server.peak_memory().saturating_sub(memory_before));
        assert!(cpu <= MAX_CPU && memory <= MAX_MEMORY, "{cpu:?} and {memory} bytes for {request}");
        (most_cpu, most_memory) = (most_cpu.max(cpu), most_memory.max(memory));
    }
    println!(
        "{cases} cases one by one: at most {} ms of CPU time and {} MiB",
        most_cpu.as_millis(),
        most_memory >> 20
    );
}

/// Sends requests concurrently. Returns the numbers of responses without errors, of responses to requests that were rejected
/// before execution, and of responses with field errors.
async fn run(user: &TestUser, ids: &[String], seed: u64, cases: usize) -> [u64; 3] {
    let requests = requests(ids, seed, cases);
    let responses = stream::iter(requests).map(async |request| send(user, &request).await);
    let mut counts = [0; 3];
    let mut responses = std::pin::pin!(responses.buffer_unordered(CONCURRENCY));
    while let Some(kind) = responses.next().await {
        counts[kind] += 1;
    }
    counts
}

/// Sends a request and checks its response. Returns the index of the response's kind in the counts of [`run`].
async fn send(user: &TestUser, request: &Value) -> usize {
    let post = user.http.post(format!("http://{}/graphql", user.address)).bearer_auth(&user.token);
    let response = post.json(request).send().await.expect("the server responds");
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let fault = |why: &str| -> ! { panic!("{why}: {status} {text}\nto {request}") };
    let Ok(response) = serde_json::from_str::<Value>(&text) else { fault("not JSON") };
    let errors = response["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        match error["extensions"]["code"].as_str() {
            None => fault("an error without a code"),
            Some("INTERNAL_SERVER_ERROR") => fault("a server error"),
            Some(_) => {}
        }
    }
    if status >= 500 {
        fault("a 5xx status");
    }
    match (errors.is_empty(), response.get("data")) {
        (true, _) => 0,
        (false, None) => 1,
        (false, Some(_)) => 2,
    }
}
