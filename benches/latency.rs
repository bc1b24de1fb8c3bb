//! Measures the latency that Pollux adds to the model's: how much later a chunk reaches a subscriber than a direct client.
//!
//! Both ways are measured alternately in one run, from the moment when the fake Gemini sends a chunk. Every chunk is
//! sent after the previous one has arrived, so that none waits for another.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use pollux::config::Role;
use serde_json::json;
use support::{Backend, Gate, Script, TestApp, TestUser, app::TestOptions};

const ROUNDS: usize = 5;
const CHUNKS: usize = 200;
const STOPS: usize = 100;

#[tokio::main]
async fn main() {
    let settings = ["--basic-daily-limit=1000", "--worker-lease=3600", "--rate-limits=off"];
    let shared = Backend::servers().is_some();
    println!(
        "{}",
        if shared { "PostgreSQL + Redis, an API node and a worker" } else { "SQLite + memory, one process" }
    );
    let role = shared.then_some(Role::Api);
    let app = TestApp::with(TestOptions { settings: &settings, role, ..TestOptions::default() }).await;
    let worker = if shared { Some(app.add_node(Role::Worker, &settings).await) } else { None };
    let user = app.user().await;
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        direct.extend(direct_round(&app).await);
        through.extend(through_round(&app, &user).await);
    }
    let stops = Figures::of(stops(&app, &user).await);
    if let Some(worker) = worker {
        worker.stop().await;
    }
    app.stop().await;
    let (direct, through) = (Figures::of(direct), Figures::of(through));
    println!(
        "{ROUNDS} rounds of {CHUNKS} chunks each way; from the fake Gemini to the client, in microseconds"
    );
    println!("fake Gemini, directly         median {:>6}   p99 {:>6}", direct.median, direct.p99);
    println!("subscription of Pollux         median {:>6}   p99 {:>6}", through.median, through.p99);
    println!(
        "added                         median {:>6}   ratio {:.1}",
        through.median - direct.median,
        through.ratio(&direct)
    );
    println!("stopReply to its response       median {:>6}   p99 {:>6}", stops.median, stops.p99);
}

/// The duration of `stopReply` for a streaming reply.
async fn stops(app: &TestApp, user: &TestUser) -> Vec<Duration> {
    let chatroom = user.create_chatroom("stops").await;
    let mut times = Vec::new();
    for _ in 0..STOPS {
        app.gemini.enqueue(Script::new().text("So far").hang());
        let sent = chatroom.send("Go").await;
        user.follow(&sent.reply, None).await.read_until("So far").await;
        let started = Instant::now();
        assert_eq!(user.stop(&sent.reply).await["status"], "CANCELLED");
        times.push(started.elapsed());
    }
    times
}

struct Figures {
    median: i64,
    p99: i64,
}

impl Figures {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |rank: usize| i64::try_from(times[rank].as_micros()).unwrap_or(i64::MAX);
        Self { median: at(times.len() / 2), p99: at(times.len() * 99 / 100) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    fn ratio(&self, other: &Self) -> f64 {
        self.median as f64 / other.median as f64
    }
}

/// A response with a gate before every chunk.
fn script(gate: &Gate) -> Script {
    (0..CHUNKS).fold(Script::new(), |script, n| script.wait(gate).text(&format!("chunk {n} "))).finish("STOP")
}

/// For each chunk of this round, the time from its sending to its arrival.
fn since_sent(app: &TestApp, sent_before: usize, arrived: &[Instant]) -> Vec<Duration> {
    arrived.iter().zip(&app.gemini.sent_at()[sent_before..]).map(|(arrived, sent)| *arrived - *sent).collect()
}

async fn direct_round(app: &TestApp) -> Vec<Duration> {
    let gate = Gate::closed();
    app.gemini.enqueue(script(&gate));
    let sent_before = app.gemini.sent_at().len();
    let url = format!("http://{}/v1beta/models/model-a:streamGenerateContent?alt=sse", app.gemini.address);
    let http = TestUser::anonymous(app.address).http;
    gate.open();
    let mut bytes =
        http.post(url).json(&json!({})).send().await.expect("the fake Gemini responds").bytes_stream();
    let mut arrived = Vec::new();
    while let Some(Ok(_)) = bytes.next().await {
        arrived.push(Instant::now());
        gate.open();
    }
    arrived.truncate(CHUNKS);
    since_sent(app, sent_before, &arrived)
}

async fn through_round(app: &TestApp, user: &TestUser) -> Vec<Duration> {
    let gate = Gate::closed();
    app.gemini.enqueue(script(&gate));
    let sent_before = app.gemini.sent_at().len();
    let sent = user.create_chatroom("latency").await.send("Go").await;
    let mut follower = user.follow(&sent.reply, None).await;
    let mut arrived = Vec::new();
    gate.open();
    while let Some(kind) = follower.next_event().await {
        if kind == "ReplyDelta" {
            arrived.push(Instant::now());
            gate.open();
        }
    }
    assert_eq!(arrived.len(), CHUNKS, "chunks were merged");
    since_sent(app, sent_before, &arrived)
}
