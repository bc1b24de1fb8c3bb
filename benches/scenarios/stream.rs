//! Users follow their replies, whose chunks the model sends as fast as a real one: how much later a chunk arrives than if it is
//! read from the model directly, and how much CPU time it takes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all};
use serde_json::json;
use tokio::time::sleep;

use super::{ROUNDS, add_cpu};
use crate::{
    client::{Connection, Socket},
    installation::{Installation, Storage, User},
    latencies::Latencies,
    model::{Answer, received_chunks},
    report::Section,
    support::TestUser,
};

/// How many replies each user follows in a round, one after the other.
const REPLIES: usize = 2;
/// The users of a round start one after the other, spread evenly over this time.
const RAMP: Duration = Duration::from_secs(1);
pub const REPLY: &str = "subscription($id: ID!) { replyStream(messageId: $id) {
    __typename
    ... on ReplyDelta { cursor text }
    ... on ReplyRestarted { cursor attempt }
    ... on ReplyCompleted { cursor message { id status content } }
    ... on ReplyFailed { cursor failure { code message } }
    ... on ReplyCancelled { cursor }
} }";

/// The times of a round.
#[derive(Default)]
pub struct Times {
    /// From the sending of a message to the arrival of the first delta of its reply.
    pub first_deltas: Latencies,
    /// From the sending of a chunk by the model to its arrival.
    pub chunks: Latencies,
}

impl Times {
    pub fn append(&mut self, other: Self) {
        self.first_deltas.append(other.first_deltas);
        self.chunks.append(other.chunks);
    }
}

pub async fn measure(section: &mut Section<'_>, count: usize) {
    let installation = Installation::create(section.storage).await;
    installation.model.answer_with(Answer::TYPICAL);
    let servers = installation.start(&[]).await;
    let users = servers.sign_in_users(count, 1).await;
    let http = TestUser::anonymous(servers.address()).http;
    // The first round warms up and is not reported.
    for round in 0..=ROUNDS {
        // The floor does not depend on the storage, so it is measured once.
        if section.storage == Storage::Sqlite {
            let mut times =
                run_all((0..count).map(|number| {
                    read_directly(http.clone(), installation.model.address, delay(number, count))
                }))
                .await;
            if round > 0 {
                section.add_floor("first delta, p99", "ms", times.first_deltas.percentile(99));
                section.add_floor("chunk, p50", "ms", times.chunks.percentile(50));
                section.add_floor("chunk, p99", "ms", times.chunks.percentile(99));
            }
        }
        let opened = join_all(users.iter().map(async |user| {
            let address = servers.address();
            (Connection::open(address).await, Socket::open(address, &user.token).await)
        }));
        let clients = opened.await.into_iter().zip(users.clone()).enumerate();
        let before = servers.cpu();
        let mut times =
            run_all(clients.map(|(number, (client, user))| chat(client, user, delay(number, count)))).await;
        let cpu = [before, servers.cpu()];
        if round == 0 {
            continue;
        }
        section.add("first delta, p99", "ms", times.first_deltas.percentile(99));
        section.add("chunk, p50", "ms", times.chunks.percentile(50));
        section.add("chunk, p99", "ms", times.chunks.percentile(99));
        add_cpu(section, "a chunk", cpu, times.chunks.len());
    }
    servers.stop().await;
}

/// How long user `number` of `count` users waits before it starts.
fn delay(number: usize, count: usize) -> Duration {
    RAMP * u32::try_from(number).unwrap() / u32::try_from(count).unwrap()
}

/// Runs the clients concurrently and returns the times of all.
async fn run_all(clients: impl Iterator<Item = impl Future<Output = Times> + Send + 'static>) -> Times {
    let mut all = Times::default();
    for times in join_all(clients.map(tokio::spawn)).await {
        all.append(times.unwrap());
    }
    all
}

/// Sends messages, and follows the reply to each.
async fn chat((mut connection, mut socket): (Connection, Socket), user: User, delay: Duration) -> Times {
    sleep(delay).await;
    let mut times = Times::default();
    for number in 0..REPLIES {
        let started = Instant::now();
        let reply = connection.send_message(&user.token, &user.chatrooms[0], "A question").await;
        socket.subscribe(&number.to_string(), REPLY, &json!({ "id": reply })).await;
        follow(&mut socket, started, &mut times).await;
    }
    times
}

/// Reads a reply to its end and checks that each chunk arrives once and in order.
pub async fn follow(socket: &mut Socket, started: Instant, times: &mut Times) {
    let mut expected = 0;
    loop {
        let frame = socket.next().await;
        if frame.contains(r#""ReplyDelta""#) {
            if expected == 0 {
                times.first_deltas.push(started.elapsed());
            }
            for (number, time) in received_chunks(&frame) {
                assert_eq!(number, expected, "chunks are missing or in disorder");
                expected += 1;
                times.chunks.push(time);
            }
        } else if frame.contains(r#""ReplyCompleted""#) {
            assert_eq!(received_chunks(&frame).count(), expected, "the stored text differs");
            return;
        } else {
            // The end of the previous reply's subscription.
            assert!(frame.contains(r#""type":"complete""#), "{frame}");
        }
    }
}

/// Reads replies from the model without Pollux.
async fn read_directly(http: reqwest::Client, model: SocketAddr, delay: Duration) -> Times {
    sleep(delay).await;
    let url = format!("http://{model}/v1beta/models/model-a:streamGenerateContent?alt=sse");
    let mut times = Times::default();
    for _ in 0..REPLIES {
        let started = Instant::now();
        let mut body = http.post(&url).json(&json!({})).send().await.unwrap().bytes_stream();
        let mut received = String::new();
        let mut is_first = true;
        while let Some(bytes) = body.next().await {
            if std::mem::take(&mut is_first) {
                times.first_deltas.push(started.elapsed());
            }
            received.push_str(str::from_utf8(&bytes.unwrap()).unwrap());
            // The last event may be incomplete.
            if let Some(end) = received.rfind("\r\n\r\n") {
                for (_, time) in received_chunks(&received[..end]) {
                    times.chunks.push(time);
                }
                received.drain(..end);
            }
        }
    }
    times
}
