//! The link: the only connection of a process to Redis. It reconnects with backoff.
//!
//! ```text
//!  connect ──► write check, subscribe to the hub's channels ──► up: commands, messages, a write check every second
//!     ▲                                                               │ the server closed it, timed out, or rejected a write
//!     └── backoff, up to 2 s ◄── down: commands fail at once, subscribers poll
//! ```

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use futures_util::{Stream, future::join_all};
use redis::{FromRedisValue, Pipeline, PushInfo, PushKind, RedisError, RedisResult, ScriptInvocation, Value};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    hub::{Hub, Received},
    server::{Address, Server},
};
use crate::{
    backoff::Backoff,
    ports::Unavailable,
    telemetry::{
        metrics::Counter,
        traces::{self, Span, SpanKind},
    },
};

const RECONNECT: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));
const WRITE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of channels that the link subscribes to, or unsubscribes from, concurrently.
const SUBSCRIPTION_BATCH: usize = 128;
/// The maximum number of failed signals that wait until Redis is available again. Further signals are dropped: their subscribers
/// poll, so a lost signal only delays them.
const MAX_FAILED_SIGNALS: usize = 4096;

#[derive(Clone)]
pub struct Link {
    hub: Hub,
    /// The connected server, or the error that prevents the connection.
    server: watch::Receiver<Result<Server, String>>,
    /// Notified when a command fails in a way that makes the connection unusable.
    unusable: Arc<Notify>,
    /// Sends the connector the channels of signals that could not be published.
    failed_signals: mpsc::Sender<String>,
    /// Counts commands that were sent and failed, but not those that fail at once because there is no connection.
    errors: Counter,
}

impl Link {
    /// Starts a task that connects, and reconnects, until the returned handle is dropped.
    ///
    /// # Errors
    /// `urls` cannot be parsed.
    pub fn open(
        urls: &str,
        tasks: &TaskTracker,
        errors: Counter,
    ) -> anyhow::Result<(Self, AbortOnDropHandle<()>)> {
        let address = Address::parse(urls)?;
        let (hub, changes) = Hub::new();
        let (server_sender, server) = watch::channel(Err("not connected yet".to_owned()));
        let (failed_signals, failed_signals_receiver) = mpsc::channel(MAX_FAILED_SIGNALS);
        let link = Self { hub: hub.clone(), server, unusable: Arc::default(), failed_signals, errors };
        let unusable = link.unusable.clone();
        let connector = Connector {
            address,
            hub,
            changes,
            server_sender,
            unusable,
            subscribed: HashSet::new(),
            unconfirmed: HashMap::new(),
            failed_signals: failed_signals_receiver,
            signals_to_publish: Vec::new(),
        };
        Ok((link, AbortOnDropHandle::new(tasks.spawn(connector.run()))))
    }

    /// Waits until there is a connection.
    pub async fn connected(&self) {
        // The error is ignored: it means that the link has ended.
        let _ = self.server.clone().wait_for(Result::is_ok).await;
    }

    /// Returns the messages of a channel from now on, as [`Hub::subscribe`] describes.
    pub(super) async fn subscribe(
        &self,
        channel: String,
        backlog: usize,
    ) -> impl Stream<Item = Received> + Send + use<> {
        let is_up = self.server.borrow().is_ok();
        self.hub.subscribe(channel, backlog, is_up).await
    }

    /// Returns the connected server, or the error that prevents the connection.
    pub(super) fn server(&self) -> Result<Server, Unavailable> {
        self.server.borrow().clone().map_err(|why| unavailable(anyhow!(why)))
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.server.borrow().as_ref().is_ok_and(Server::is_cluster)
    }

    /// Checks that Redis responds and accepts writes now.
    pub(super) async fn check(&self) -> Result<(), Unavailable> {
        let mut server = self.server()?;
        self.process_result(server.write_check().await)
    }

    /// Starts the span of a call. Signals and appends to a reply's log have none, because a span would cost more than the call.
    pub(super) fn span() -> Span {
        traces::span("redis", SpanKind::Client)
    }

    /// Runs commands. All of their keys must be in one cluster slot.
    pub(super) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Unavailable> {
        let _span = Self::span();
        let mut server = self.server()?;
        self.process_result(commands.query_async(&mut server).await)
    }

    pub(super) async fn run_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        mut server: Server,
    ) -> Result<T, Unavailable> {
        self.process_result(script.invoke_async(&mut server).await)
    }

    /// Publishes a signal on each channel. If that fails, returns the error, and the connector publishes the signals when Redis
    /// is available again.
    pub(super) async fn publish_signals(&self, channels: Vec<String>) -> Result<(), Unavailable> {
        let published = match self.server() {
            Ok(server) => self.process_result(server.publish(&channels).await),
            Err(unavailable) => Err(unavailable),
        };
        if published.is_err() {
            for channel in channels {
                // The error is ignored: it means that the queue is full or the link has ended.
                let _ = self.failed_signals.try_send(channel);
            }
        }
        published
    }

    /// Counts an error, and ends the connection if the error makes it unusable. Returns the result with the error converted.
    pub(super) fn process_result<T>(&self, result: RedisResult<T>) -> Result<T, Unavailable> {
        result.map_err(|error| {
            self.errors.increment();
            if makes_connection_unusable(&error) {
                self.unusable.notify_one();
            }
            unavailable(error.into())
        })
    }
}

/// Whether the connection is unusable after this error: it broke, or the server rejects writes, because it became a replica, is
/// out of memory, lacks replicas or cannot persist its data.
fn makes_connection_unusable(error: &RedisError) -> bool {
    const REJECTS_WRITES: [&str; 5] = ["READONLY", "MASTERDOWN", "OOM", "NOREPLICAS", "MISCONF"];
    error.is_unrecoverable_error() || error.code().is_some_and(|code| REJECTS_WRITES.contains(&code))
}

fn unavailable(cause: anyhow::Error) -> Unavailable {
    Unavailable { what: "Redis", cause }
}

/// The task that keeps the link connected.
struct Connector {
    address: Address,
    hub: Hub,
    /// Receives the names of channels that got their first or lost their last subscriber.
    changes: mpsc::UnboundedReceiver<String>,
    /// Sets the link's `server`.
    server_sender: watch::Sender<Result<Server, String>>,
    unusable: Arc<Notify>,
    /// The channels to which the current connection is subscribed.
    subscribed: HashSet<String>,
    /// For each channel, the number of unsubscriptions that Redis has not confirmed yet. A confirmation may arrive after the link
    /// has subscribed to the channel once more. It must not be mistaken for the loss of the new subscription.
    unconfirmed: HashMap<String, usize>,
    /// Receives the channels of signals that the link could not publish.
    failed_signals: mpsc::Receiver<String>,
    /// Channels of failed signals to publish once connected.
    signals_to_publish: Vec<String>,
}

impl Connector {
    async fn run(mut self) {
        let mut failures: u32 = 0;
        // Starts as true, so that a failure of the first connection is logged as a warning.
        let mut was_up = true;
        loop {
            let error = match self.address.connect().await {
                Ok((server, pushed)) => self.serve(server, pushed, &mut was_up).await,
                Err(error) => error,
            };
            let error = format!("{error:#}");
            if std::mem::take(&mut was_up) {
                tracing::warn!(error, "Redis is unavailable: live text and signals go through the database");
            } else {
                tracing::debug!(error, "Redis is still unavailable");
            }
            // After a connection that was up, the backoff starts from its minimum.
            if self.server_sender.send_replace(Err(error)).is_ok() {
                failures = 0;
            }
            // These changes are dropped, because the next connection subscribes to all channels that the hub has by then.
            while self.changes.try_recv().is_ok() {}
            self.hub.on_disconnected();
            failures = failures.saturating_add(1);
            sleep(RECONNECT.delay(failures)).await;
        }
    }

    /// Serves a connection until it ends, and returns the reason.
    async fn serve(
        &mut self,
        mut server: Server,
        mut pushed: mpsc::UnboundedReceiver<PushInfo>,
        was_up: &mut bool,
    ) -> anyhow::Error {
        if let Err(error) = server.write_check().await {
            return error.into();
        }
        self.subscribed.clear();
        self.unconfirmed.clear();
        let channels = self.hub.channels();
        for batch in channels.chunks(SUBSCRIPTION_BATCH) {
            if let Err(error) = self.update_subscriptions(&mut server, batch).await {
                return error;
            }
        }
        self.server_sender.send_modify(|state| *state = Ok(server.clone()));
        if !std::mem::replace(was_up, true) {
            tracing::info!("Redis is available again");
        }
        let mut write_checks = std::pin::pin!(keep_checking(server.clone()));
        if let Err(error) = self.publish_failed_signals(&mut server).await {
            return error;
        }
        loop {
            let result = tokio::select! {
                Some(push) = pushed.recv() => self.on_push(push),
                Some(changed) = self.changes.recv() => {
                    let mut batch = vec![changed];
                    while batch.len() < SUBSCRIPTION_BATCH && let Ok(changed) = self.changes.try_recv() {
                        batch.push(changed);
                    }
                    self.update_subscriptions(&mut server, &batch).await
                }
                Some(channel) = self.failed_signals.recv() => {
                    self.signals_to_publish.push(channel);
                    self.publish_failed_signals(&mut server).await
                }
                error = &mut write_checks => Err(error),
                () = self.unusable.notified() => Err(anyhow!("a command failed: the connection is unusable")),
            };
            if let Err(error) = result {
                return error;
            }
        }
    }

    /// Subscribes to each of the given channels that has subscribers in this process, and unsubscribes from the others.
    async fn update_subscriptions(&mut self, server: &mut Server, channels: &[String]) -> anyhow::Result<()> {
        let channels: HashSet<&String> = channels.iter().collect();
        let changes = channels.into_iter().map(|channel| {
            let mut server = server.clone();
            let wanted = self.hub.has_subscribers(channel);
            let is_current = self.subscribed.contains(channel) == wanted;
            async move {
                if !is_current && wanted {
                    server.subscribe(channel).await.context("SUBSCRIBE")?;
                } else if !is_current {
                    server.unsubscribe(channel).await.context("UNSUBSCRIBE")?;
                }
                anyhow::Ok((channel, wanted))
            }
        });
        for changed in join_all(changes).await {
            let (channel, wanted) = changed?;
            if wanted {
                self.subscribed.insert(channel.clone());
                self.hub.on_subscribed(channel);
            } else if self.subscribed.remove(channel) {
                *self.unconfirmed.entry(channel.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Publishes the signals that the link could not publish.
    async fn publish_failed_signals(&mut self, server: &mut Server) -> anyhow::Result<()> {
        while let Ok(channel) = self.failed_signals.try_recv() {
            self.signals_to_publish.push(channel);
        }
        server.publish(&self.signals_to_publish).await.context("PUBLISH")?;
        self.signals_to_publish.clear();
        Ok(())
    }

    /// Processes what the server sends without a request: a published message, a confirmed unsubscription, or the end of the
    /// connection. Returns an error if the link must reconnect.
    fn on_push(&mut self, push: PushInfo) -> anyhow::Result<()> {
        let mut data = push.data.into_iter().map(|value| match value {
            Value::BulkString(bytes) => Bytes::from(bytes),
            _ => Bytes::new(),
        });
        let channel = data.next().unwrap_or_default();
        let channel = String::from_utf8_lossy(&channel);
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                self.hub.on_message(&channel, data.next().unwrap_or_default());
            }
            PushKind::Disconnection => bail!("the connection broke"),
            PushKind::SUnsubscribe | PushKind::Unsubscribe => match self.unconfirmed.get_mut(&*channel) {
                Some(1) => drop(self.unconfirmed.remove(&*channel)),
                Some(count) => *count -= 1,
                None if self.hub.has_subscribers(&channel) && self.subscribed.contains(&*channel) => {
                    bail!("a cluster moved {channel} to another server");
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }
}

/// Checks the server periodically. Returns the error when it does not respond or rejects a write.
async fn keep_checking(mut server: Server) -> anyhow::Error {
    loop {
        if let Err(error) = server.write_check().await {
            return error.into();
        }
        sleep(WRITE_CHECK_INTERVAL).await;
    }
}
