//! The hub distributes messages that are published in Redis to the subscribers in this process.
//!
//! The link subscribes in Redis to each channel of the hub, and passes the published messages to the hub. Subscribers need not
//! know whether Redis is connected: a subscriber that may have missed a message receives [`Received::Gap`].

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

/// How long a new subscriber waits until the link has subscribed to the channel. If that takes longer, the subscriber receives
/// [`Received::Gap`] once the link has subscribed.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a subscriber receives.
#[derive(Clone, Debug)]
pub(super) enum Received {
    Message(Bytes),
    /// The subscriber may have missed messages.
    Gap,
}

#[derive(Clone)]
pub(super) struct Hub {
    /// The channels that have subscribers in this process, by name.
    channels: Arc<Mutex<HashMap<String, Channel>>>,
    /// Sends the link the name of each channel that got its first or lost its last subscriber.
    changed: mpsc::UnboundedSender<String>,
}

struct Channel {
    messages: broadcast::Sender<Received>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The link has a connection and will subscribe.
    Pending,
    Subscribed,
    /// The link has no connection, or has not subscribed in time, so that subscribers may have missed messages.
    Interrupted,
}

impl Hub {
    /// Creates a hub without channels. The receiver returns the names of channels to which the link may have to subscribe, or
    /// from which it may have to unsubscribe.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (changed, changes) = mpsc::unbounded_channel();
        (Self { channels: Arc::default(), changed }, changes)
    }

    /// Returns the messages of a channel from now on. A subscriber that lags more than `backlog` messages loses the oldest
    /// ones and receives [`Received::Gap`].
    pub(super) async fn subscribe(
        &self,
        channel: String,
        backlog: usize,
        link_is_up: bool,
    ) -> impl Stream<Item = Received> + Send + use<> {
        let initial_state = if link_is_up { State::Pending } else { State::Interrupted };
        let (messages, mut state) = {
            let mut channels = lock(&self.channels);
            let entry = channels.entry(channel.clone());
            let is_new = matches!(entry, hash_map::Entry::Vacant(_));
            let shared = entry.or_insert_with(|| Channel {
                messages: broadcast::Sender::new(backlog),
                state: watch::Sender::new(initial_state),
            });
            if is_new {
                // The error is ignored: it means that the link has ended.
                let _ = self.changed.send(channel.clone());
            }
            (shared.messages.subscribe(), shared.state.subscribe())
        };
        // An error of the stream means that this subscriber lagged and lost messages.
        let messages = BroadcastStream::new(messages).map(|received| received.unwrap_or(Received::Gap));
        // Guarded before the wait, so that a caller that is cancelled meanwhile leaves no channel behind.
        let messages = Guarded::new(messages, Guard { hub: self.clone(), channel: channel.clone() });
        let link_responded = state.wait_for(|state| *state != State::Pending);
        if tokio::time::timeout(SUBSCRIBE_TIMEOUT, link_responded).await.is_err() {
            self.with_channel(&channel, |channel| {
                channel.state.send_replace(State::Interrupted);
            });
        }
        messages
    }

    /// Calls `act` with the channel, if the channel has subscribers.
    fn with_channel(&self, channel: &str, act: impl FnOnce(&Channel)) {
        if let Some(channel) = lock(&self.channels).get(channel) {
            act(channel);
        }
    }

    pub(super) fn has_subscribers(&self, channel: &str) -> bool {
        lock(&self.channels).contains_key(channel)
    }

    pub(super) fn channels(&self) -> Vec<String> {
        lock(&self.channels).keys().cloned().collect()
    }

    /// The link calls this when it has subscribed to the channel. From now on, subscribers miss no message.
    pub(super) fn on_subscribed(&self, channel: &str) {
        self.with_channel(channel, |channel| {
            if channel.state.send_replace(State::Subscribed) == State::Interrupted {
                channel.send(Received::Gap);
            }
        });
    }

    pub(super) fn on_message(&self, channel: &str, message: Bytes) {
        self.with_channel(channel, |channel| channel.send(Received::Message(message)));
    }

    /// The link calls this when it loses its connection, and after each failed attempt to connect. Subscribers miss messages
    /// until the link has subscribed to their channels; each call sends them a [`Received::Gap`].
    pub(super) fn on_disconnected(&self) {
        for channel in lock(&self.channels).values() {
            channel.state.send_replace(State::Interrupted);
            channel.send(Received::Gap);
        }
    }
}

impl Channel {
    fn send(&self, received: Received) {
        // The error is ignored: it means that the channel has no subscribers.
        let _ = self.messages.send(received);
    }
}

/// Belongs to one subscriber. When the last subscriber of a channel is dropped, its guard removes the channel from the hub.
struct Guard {
    hub: Hub,
    channel: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut channels = lock(&self.hub.channels);
        if channels.get(&self.channel).is_some_and(|channel| channel.messages.receiver_count() == 0) {
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
    async fn a_subscriber_receives_a_gap_only_when_it_may_have_missed_messages() {
        let (hub, mut changes) = Hub::new();
        let link = async {
            let channel = changes.recv().await.unwrap();
            hub.on_subscribed(&channel);
        };
        let (mut subscriber, ()) = tokio::join!(hub.subscribe("c".to_owned(), 8, true), link);
        assert!(
            subscriber.next().now_or_never().is_none(),
            "the link subscribed before any message could be missed"
        );
        hub.on_disconnected();
        assert!(matches!(subscriber.next().await, Some(Received::Gap)));
        let mut late = hub.subscribe("c".to_owned(), 8, false).await;
        hub.on_subscribed("c");
        for subscriber in [&mut subscriber, &mut late] {
            assert!(matches!(subscriber.next().now_or_never(), Some(Some(Received::Gap))));
            assert!(subscriber.next().now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn a_channel_whose_subscriber_is_cancelled_while_it_waits_is_removed() {
        let (hub, mut changes) = Hub::new();
        assert!(hub.subscribe("c".to_owned(), 8, true).now_or_never().is_none());
        for _ in ["subscribe", "unsubscribe"] {
            assert_eq!(changes.recv().now_or_never().flatten().as_deref(), Some("c"));
        }
        assert!(hub.channels().is_empty());
    }

    #[tokio::test]
    async fn a_channel_without_subscribers_is_removed() {
        let (hub, mut changes) = Hub::new();
        let subscribers =
            [hub.subscribe("c".to_owned(), 8, false).await, hub.subscribe("c".to_owned(), 8, false).await];
        assert_eq!(changes.recv().await.as_deref(), Some("c"));
        drop(subscribers);
        assert_eq!(
            changes.recv().await.as_deref(),
            Some("c"),
            "the link is notified, so that it unsubscribes"
        );
        assert!(hub.channels().is_empty());
    }
}
