//! Signals as one watch channel a topic that somebody listens to.

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

    async fn send(&self, topic: Topic) -> Result<(), Unavailable> {
        if let Some(channel) = lock(&self.channels).get(&topic) {
            channel.send_replace(());
        }
        Ok(())
    }

    async fn listen(&self, topic: Topic) -> BoxStream<'static, ()> {
        let hints = lock(&self.channels).entry(topic).or_insert_with(|| watch::Sender::new(())).subscribe();
        let guard = Guard { topic, channels: self.channels.clone() };
        Guarded::new(WatchStream::from_changes(hints), guard).boxed()
    }
}

/// Takes its topic's channel with it when its listener was the last.
struct Guard {
    topic: Topic,
    channels: Channels,
}

impl Drop for Guard {
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
    async fn nothing_is_left_of_a_topic_that_nobody_listens_to() {
        let signals = MemorySignals::default();
        let mut listeners = [signals.listen(Topic::Jobs).await, signals.listen(Topic::Jobs).await];
        assert!(listeners[0].next().now_or_never().is_none());
        assert_eq!(lock(&signals.channels).len(), 1);
        drop(listeners);
        assert_eq!(lock(&signals.channels).len(), 0);
    }
}
