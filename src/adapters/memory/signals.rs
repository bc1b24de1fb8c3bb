//! Signals within one process: one watch channel for each topic that has subscribers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::adapters::guarded::{Guarded, lock};
use crate::ports::{
    Unavailable,
    signals::{Signals, Topic},
};

type Channels = Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>;

#[derive(Clone, Debug, Default)]
pub struct MemorySignals {
    channels: Channels,
}

#[async_trait]
impl Signals for MemorySignals {
    async fn check(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn publish(&self, topics: &[Topic]) -> Result<(), Unavailable> {
        let channels = lock(&self.channels);
        for channel in topics.iter().filter_map(|topic| channels.get(topic)) {
            channel.send_replace(());
        }
        Ok(())
    }

    async fn subscribe(&self, topic: Topic) -> BoxStream<'static, ()> {
        let signals = lock(&self.channels).entry(topic).or_insert_with(|| watch::Sender::new(())).subscribe();
        let guard = UnusedChannelGuard { topic, channels: self.channels.clone() };
        Guarded::new(WatchStream::from_changes(signals), guard).boxed()
    }
}

/// Removes the topic's channel when its last subscriber is dropped.
struct UnusedChannelGuard {
    topic: Topic,
    channels: Channels,
}

impl Drop for UnusedChannelGuard {
    fn drop(&mut self) {
        let mut channels = lock(&self.channels);
        if channels.get(&self.topic).is_some_and(|channel| channel.receiver_count() == 0) {
            channels.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_channel_of_a_topic_without_subscribers_is_removed() {
        let signals = MemorySignals::default();
        let mut subscribers = [signals.subscribe(Topic::Jobs).await, signals.subscribe(Topic::Jobs).await];
        assert!(subscribers[0].next().now_or_never().is_none());
        assert_eq!(lock(&signals.channels).len(), 1);
        drop(subscribers);
        assert_eq!(lock(&signals.channels).len(), 0);
    }
}
