//! Who in this process listens to which channel.
//!
//! The link subscribes to the channels that are here and tells what it hears; listeners know nothing of connections. A
//! listener that may have missed something hears [`Heard::Again`].

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::BroadcastStream;

use crate::adapters::guarded::{Guarded, lock};

/// How long a listener waits for its channel's subscription; a later one is told as [`Heard::Again`].
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(1);

/// What a listener hears.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Message(Bytes),
    /// Something may have been missed.
    Again,
}

#[derive(Clone)]
pub(super) struct Hub {
    channels: Arc<Mutex<HashMap<String, Channel>>>,
    /// Names of channels that somebody has begun or ceased to listen to.
    changed: mpsc::UnboundedSender<String>,
}

struct Channel {
    heard: broadcast::Sender<Heard>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The link is up and will subscribe.
    Awaited,
    Subscribed,
    /// Somebody listens who was not subscribed all the time.
    Missed,
}

impl Hub {
    /// And the names of channels to look after.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (changed, changes) = mpsc::unbounded_channel();
        (Self { channels: Arc::default(), changed }, changes)
    }

    /// What is published on a channel from now on. A listener more than `backlog` messages behind loses some of them.
    pub(super) async fn listen(
        &self,
        channel: String,
        backlog: usize,
        link_is_up: bool,
    ) -> impl Stream<Item = Heard> + Send + use<> {
        let begun = if link_is_up { State::Awaited } else { State::Missed };
        let (heard, mut state) = {
            let mut channels = lock(&self.channels);
            let entry = channels.entry(channel.clone());
            let is_new = matches!(entry, hash_map::Entry::Vacant(_));
            let listened = entry.or_insert_with(|| Channel {
                heard: broadcast::Sender::new(backlog),
                state: watch::Sender::new(begun),
            });
            if is_new {
                // Nobody receives it after the link has ended, and then nobody needs to.
                let _ = self.changed.send(channel.clone());
            }
            (listened.heard.subscribe(), listened.state.subscribe())
        };
        let guard = Guard { hub: self.clone(), channel };
        let subscribed = state.wait_for(|state| *state != State::Awaited);
        if tokio::time::timeout(SUBSCRIBED_WITHIN, subscribed).await.is_err() {
            self.with(&guard.channel, |channel| {
                channel.state.send_replace(State::Missed);
            });
        }
        let heard = BroadcastStream::new(heard).map(|heard| heard.unwrap_or(Heard::Again));
        Guarded::new(heard, guard)
    }

    fn with(&self, channel: &str, act: impl FnOnce(&Channel)) {
        if let Some(channel) = lock(&self.channels).get(channel) {
            act(channel);
        }
    }

    pub(super) fn is_listened_to(&self, channel: &str) -> bool {
        lock(&self.channels).contains_key(channel)
    }

    pub(super) fn channels(&self) -> Vec<String> {
        lock(&self.channels).keys().cloned().collect()
    }

    /// From now on everything that is published on the channel will be told.
    pub(super) fn subscribed(&self, channel: &str) {
        self.with(channel, |channel| {
            if channel.state.send_replace(State::Subscribed) == State::Missed {
                channel.say(Heard::Again);
            }
        });
    }

    pub(super) fn published(&self, channel: &str, message: Bytes) {
        self.with(channel, |channel| channel.say(Heard::Message(message)));
    }

    /// Nothing is heard while this is so.
    pub(super) fn is_down(&self) {
        for channel in lock(&self.channels).values() {
            channel.state.send_replace(State::Missed);
            channel.say(Heard::Again);
        }
    }
}

impl Channel {
    fn say(&self, heard: Heard) {
        // An error says that nobody listens.
        let _ = self.heard.send(heard);
    }
}

/// Takes its channel with it when its listener was the last.
struct Guard {
    hub: Hub,
    channel: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut channels = lock(&self.hub.channels);
        if channels.get(&self.channel).is_some_and(|channel| channel.heard.receiver_count() == 0) {
            channels.remove(&self.channel);
            let _ = self.hub.changed.send(std::mem::take(&mut self.channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_told_to_look_when_it_may_have_missed_something_and_only_then() {
        let (hub, mut changes) = Hub::new();
        let subscribe = async {
            let channel = changes.recv().await.unwrap();
            hub.subscribed(&channel);
        };
        let (mut heard, ()) = tokio::join!(hub.listen("c".to_owned(), 8, true), subscribe);
        assert!(heard.next().now_or_never().is_none(), "it was subscribed from the beginning");
        hub.is_down();
        assert!(matches!(heard.next().await, Some(Heard::Again)));
        let mut late = hub.listen("c".to_owned(), 8, false).await;
        hub.subscribed("c");
        for listener in [&mut heard, &mut late] {
            assert!(matches!(listener.next().now_or_never(), Some(Some(Heard::Again))));
            assert!(listener.next().now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_channel_that_nobody_listens_to() {
        let (hub, mut changes) = Hub::new();
        let listeners =
            [hub.listen("c".to_owned(), 8, false).await, hub.listen("c".to_owned(), 8, false).await];
        assert_eq!(changes.recv().await.as_deref(), Some("c"));
        drop(listeners);
        assert_eq!(changes.recv().await.as_deref(), Some("c"), "so that it is unsubscribed");
        assert!(hub.channels().is_empty());
    }
}
