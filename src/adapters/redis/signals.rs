//! Signals between processes: one pub/sub channel for each topic.

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};

use super::link::Link;
use crate::ports::{
    Unavailable,
    signals::{Signals, Topic},
};

/// How many signals wait for a subscriber. Further ones are merged into the waiting one.
const BACKLOG: usize = 1;

#[derive(Clone)]
pub struct RedisSignals {
    link: Link,
}

impl RedisSignals {
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self { link }
    }
}

fn channel(topic: Topic) -> String {
    match topic {
        Topic::Jobs => "pollux:jobs".to_owned(),
        Topic::Stops => "pollux:stops".to_owned(),
        Topic::Session(session) => format!("pollux:{{{session}}}:session"),
        Topic::Chatroom(chatroom) => format!("pollux:{{{chatroom}}}:room"),
        Topic::Chatrooms(user) => format!("pollux:{{{user}}}:rooms"),
        Topic::Account(user) => format!("pollux:{{{user}}}:account"),
    }
}

#[async_trait]
impl Signals for RedisSignals {
    async fn check(&self) -> Result<(), Unavailable> {
        self.link.check().await
    }

    async fn publish(&self, topics: &[Topic]) -> Result<(), Unavailable> {
        self.link.publish_signals(topics.iter().copied().map(channel).collect()).await
    }

    async fn subscribe(&self, topic: Topic) -> BoxStream<'static, ()> {
        self.link.subscribe(channel(topic), BACKLOG).await.map(|_| ()).boxed()
    }
}
