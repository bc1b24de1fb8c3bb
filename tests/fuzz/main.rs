//! Documents and variables that nobody would write, against a running server: none is answered by a fault of the server's,
//! and in the end it has no more in memory than before. `make fuzz`.

#![allow(clippy::unwrap_used, reason = "a program that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what it starts it awaits itself")]

mod documents;
#[path = "../support/mod.rs"]
mod support;

use clap::Parser;
use futures_util::{StreamExt, future::join_all, stream};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use support::{TestUser, process::Site};

/// Answers that may differ by this much in what the allocator keeps.
const SLACK: u64 = 24 * 1024 * 1024;
const AT_ONCE: usize = 16;
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
    let room = user.room("x").await;
    let ids = [room.id.clone(), room.ask("hi").await.reply, user.id.clone()];
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

/// How many were answered with data, refused, and answered with errors.
async fn run(user: &TestUser, ids: &[String], seed: u64, cases: usize) -> [u64; 3] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = documents::requests(ids);
    let requests = std::iter::repeat_with(|| strategy.new_tree(&mut runner).unwrap().current()).take(cases);
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
