//! A user who only wants to chat.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinHandle;

use super::support::{TestUser, user::TestRoom};

/// Slower than the limits of mutations.
const PAUSE: Duration = Duration::from_millis(600);

pub struct Honest {
    stop: Arc<AtomicBool>,
    /// In milliseconds, since it was last read.
    slowest: Arc<AtomicU64>,
    task: JoinHandle<Accepted>,
}

/// What the server has answered with success.
pub struct Accepted {
    room: TestRoom,
    pub messages: Vec<String>,
}

impl Honest {
    pub async fn start(user: TestUser) -> Self {
        let room = user.room("honest").await;
        let (stop, slowest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (stop, slowest) = (stop.clone(), slowest.clone());
            async move {
                let mut accepted = Accepted { room, messages: Vec::new() };
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    if let Ok(asked) = accepted.room.try_ask(json!({"content": "hi"})).await {
                        accepted.messages.push(asked.message);
                    }
                    let took = u64::try_from(begun.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                accepted
            }
        });
        Self { stop, slowest, task }
    }

    /// The slowest call since this was last asked for.
    pub fn slowest(&self) -> Duration {
        Duration::from_millis(self.slowest.swap(0, Ordering::Relaxed))
    }

    pub async fn stop(self) -> Accepted {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

impl Accepted {
    /// How many of the messages the server at this address does not have.
    pub async fn missing(&self, server: SocketAddr) -> usize {
        let mut user = self.room.user.clone();
        user.address = server;
        let mut missing = 0;
        for id in &self.messages {
            let query = "query($id: ID!) { node(id: $id) { ... on Message { content } } }";
            let found = user.data(query, json!({ "id": id })).await;
            missing += usize::from(found["node"]["content"] != "hi");
        }
        missing
    }
}
