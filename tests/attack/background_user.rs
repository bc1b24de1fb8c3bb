//! A well-behaved user who chats during the attacks.

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

use super::support::{TestUser, user::TestChatroom};

/// The pause between two mutations, long enough to stay below their rate limit.
const PAUSE: Duration = Duration::from_millis(600);

/// A task that sends messages until it is stopped.
pub struct BackgroundUser {
    stop: Arc<AtomicBool>,
    /// The duration of the slowest call since [`BackgroundUser::take_slowest`] was last called, in milliseconds.
    slowest: Arc<AtomicU64>,
    task: JoinHandle<Accepted>,
}

/// The chatroom of the user and the ids of the messages in it that the server has accepted.
pub struct Accepted {
    chatroom: TestChatroom,
    pub messages: Vec<String>,
}

impl BackgroundUser {
    pub async fn start(user: TestUser) -> Self {
        let chatroom = user.create_chatroom("background").await;
        let (stop, slowest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (stop, slowest) = (stop.clone(), slowest.clone());
            async move {
                let mut accepted = Accepted { chatroom, messages: Vec::new() };
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    if let Ok(sent) = accepted.chatroom.try_send(json!({"content": "hi"})).await {
                        accepted.messages.push(sent.message);
                    }
                    let duration = u64::try_from(started.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(duration, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                accepted
            }
        });
        Self { stop, slowest, task }
    }

    /// Returns the duration of the slowest call since this method was last called.
    pub fn take_slowest(&self) -> Duration {
        Duration::from_millis(self.slowest.swap(0, Ordering::Relaxed))
    }

    pub async fn stop(self) -> Accepted {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

impl Accepted {
    /// Counts the accepted messages that the server at this address does not have.
    pub async fn count_missing(&self, server: SocketAddr) -> usize {
        let mut user = self.chatroom.user.clone();
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
