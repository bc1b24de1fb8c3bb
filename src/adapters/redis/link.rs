//! A process's one connection to Redis: kept, lost, made anew.
//!
//! ```text
//!  connect ──► write, subscribe to what is listened to ──► up: commands, messages, a write every second
//!     ▲                                                               │ it broke, did not answer, or refused a write
//!     └── wait, doubled up to 2 s ◄── down: commands are refused at once, listeners look by themselves
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
    hub::{Heard, Hub},
    server::{Address, Server},
};
use crate::{backoff::Backoff, ports::Unavailable};

const RECONNECT: Backoff = Backoff::doubling(Duration::from_millis(50), Duration::from_secs(2));
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Channels that are subscribed to together.
const BATCH: usize = 128;
/// Hints that wait to be told again. Past so many one is let go: who missed it looks by itself before long.
const MOST_OWED: usize = 4096;

#[derive(Clone)]
pub struct Link {
    hub: Hub,
    /// Or why there is none.
    server: watch::Receiver<Result<Server, String>>,
    /// Told when a command found that the connection is no good.
    suspect: Arc<Notify>,
    owed: mpsc::Sender<String>,
}

impl Link {
    /// Begins to connect, and to go on connecting for as long as the handle is kept.
    ///
    /// # Errors
    /// `urls` cannot be read.
    pub fn open(urls: &str, tasks: &TaskTracker) -> anyhow::Result<(Self, AbortOnDropHandle<()>)> {
        let address = Address::read(urls)?;
        let (hub, changes) = Hub::new();
        let (up, server) = watch::channel(Err("it has not answered yet".to_owned()));
        let (owed, owing) = mpsc::channel(MOST_OWED);
        let link = Self { hub: hub.clone(), server, suspect: Arc::default(), owed };
        let suspect = link.suspect.clone();
        let (subscribed, unconfirmed, untold) = (HashSet::new(), HashMap::new(), Vec::new());
        let keeper = Keeper { address, hub, changes, up, suspect, subscribed, unconfirmed, owing, untold };
        Ok((link, AbortOnDropHandle::new(tasks.spawn(keeper.keep()))))
    }

    /// Waits until there is a connection.
    pub async fn is_up(&self) {
        // An error says that the link has ended.
        let _ = self.server.clone().wait_for(Result::is_ok).await;
    }

    pub(super) async fn listen(
        &self,
        channel: String,
        backlog: usize,
    ) -> impl Stream<Item = Heard> + Send + use<> {
        let is_up = self.server.borrow().is_ok();
        self.hub.listen(channel, backlog, is_up).await
    }

    pub(super) fn server(&self) -> Result<Server, Unavailable> {
        self.server.borrow().clone().map_err(|why| unavailable(anyhow!(why)))
    }

    /// Whether Redis answers and takes writes now.
    pub(super) async fn check(&self) -> Result<(), Unavailable> {
        let mut server = self.server()?;
        self.checked(server.write_check().await)
    }

    /// Runs commands whose keys are in one slot.
    pub(super) async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Unavailable> {
        let mut server = self.server()?;
        self.checked(commands.query_async(&mut server).await)
    }

    pub(super) async fn run_script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        mut server: Server,
    ) -> Result<T, Unavailable> {
        self.checked(script.invoke_async(&mut server).await)
    }

    /// Says on a channel that there is something to look at. What cannot be said now is said when Redis answers again.
    pub(super) async fn hint(&self, channel: String) -> Result<(), Unavailable> {
        let said = match self.server() {
            Ok(mut server) => self.checked(server.publish(&channel).await),
            Err(unavailable) => Err(unavailable),
        };
        if said.is_err() {
            // Full, or the link has ended.
            let _ = self.owed.try_send(channel);
        }
        said
    }

    fn checked<T>(&self, done: RedisResult<T>) -> Result<T, Unavailable> {
        done.map_err(|error| {
            if makes_unusable(&error) {
                self.suspect.notify_one();
            }
            unavailable(error.into())
        })
    }
}

/// Whether the server cannot be used after this error: the connection broke, or writes are refused, because the server
/// became a replica, is out of memory, lacks replicas or cannot save its data.
fn makes_unusable(error: &RedisError) -> bool {
    const REFUSES_WRITES: [&str; 5] = ["READONLY", "MASTERDOWN", "OOM", "NOREPLICAS", "MISCONF"];
    error.is_unrecoverable_error() || error.code().is_some_and(|code| REFUSES_WRITES.contains(&code))
}

fn unavailable(cause: anyhow::Error) -> Unavailable {
    Unavailable { what: "Redis", cause }
}

struct Keeper {
    address: Address,
    hub: Hub,
    changes: mpsc::UnboundedReceiver<String>,
    up: watch::Sender<Result<Server, String>>,
    suspect: Arc<Notify>,
    subscribed: HashSet<String>,
    /// How often each channel was unsubscribed from whose confirmation has not been read: it may be read after the channel was
    /// subscribed to again.
    unconfirmed: HashMap<String, usize>,
    owing: mpsc::Receiver<String>,
    /// Channels on which a hint is owed.
    untold: Vec<String>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut failures: u32 = 0;
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
            if self.up.send_replace(Err(error)).is_ok() {
                failures = 0;
            }
            // All that is listened to is subscribed to by the next connection.
            while self.changes.try_recv().is_ok() {}
            self.hub.is_down();
            failures = failures.saturating_add(1);
            sleep(RECONNECT.delay(failures)).await;
        }
    }

    /// Serves a connection to its end, and says why it ended.
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
        for batch in channels.chunks(BATCH) {
            if let Err(error) = self.follow(&mut server, batch).await {
                return error;
            }
        }
        self.up.send_modify(|state| *state = Ok(server.clone()));
        if !std::mem::replace(was_up, true) {
            tracing::info!("Redis is available again");
        }
        let mut alive = std::pin::pin!(keep_checking(server.clone()));
        if let Err(error) = self.tell(&server).await {
            return error;
        }
        loop {
            let done = tokio::select! {
                Some(push) = pushed.recv() => self.heard(push),
                Some(changed) = self.changes.recv() => {
                    let mut batch = vec![changed];
                    while batch.len() < BATCH && let Ok(changed) = self.changes.try_recv() {
                        batch.push(changed);
                    }
                    self.follow(&mut server, &batch).await
                }
                Some(owed) = self.owing.recv() => {
                    self.untold.push(owed);
                    self.tell(&server).await
                }
                error = &mut alive => Err(error),
                () = self.suspect.notified() => Err(anyhow!("a command found the connection broken")),
                else => Err(anyhow!("the connection ended")),
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    /// Makes the subscriptions to these channels what they are to be.
    async fn follow(&mut self, server: &mut Server, channels: &[String]) -> anyhow::Result<()> {
        let channels: HashSet<&String> = channels.iter().collect();
        let changes = channels.into_iter().map(|channel| {
            let mut server = server.clone();
            let wanted = self.hub.is_listened_to(channel);
            let done = self.subscribed.contains(channel) == wanted;
            async move {
                if !done && wanted {
                    server.subscribe(channel).await.context("SUBSCRIBE")?;
                } else if !done {
                    server.unsubscribe(channel).await.context("UNSUBSCRIBE")?;
                }
                anyhow::Ok((channel, wanted))
            }
        });
        for changed in join_all(changes).await {
            let (channel, wanted) = changed?;
            if wanted {
                self.subscribed.insert(channel.clone());
                self.hub.subscribed(channel);
            } else if self.subscribed.remove(channel) {
                *self.unconfirmed.entry(channel.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Says the hints that are owed.
    async fn tell(&mut self, server: &Server) -> anyhow::Result<()> {
        while let Ok(owed) = self.owing.try_recv() {
            self.untold.push(owed);
        }
        let hints = self.untold.iter().map(|channel| {
            let mut server = server.clone();
            async move { server.publish(channel).await }
        });
        join_all(hints).await.into_iter().collect::<RedisResult<()>>().context("a hint")?;
        self.untold.clear();
        Ok(())
    }

    fn heard(&mut self, push: PushInfo) -> anyhow::Result<()> {
        let mut data = push.data.into_iter().map(|value| match value {
            Value::BulkString(bytes) => Bytes::from(bytes),
            _ => Bytes::new(),
        });
        let channel = data.next().unwrap_or_default();
        let channel = String::from_utf8_lossy(&channel);
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                self.hub.published(&channel, data.next().unwrap_or_default());
            }
            PushKind::Disconnection => bail!("the connection broke"),
            PushKind::SUnsubscribe | PushKind::Unsubscribe => match self.unconfirmed.get_mut(&*channel) {
                Some(1) => drop(self.unconfirmed.remove(&*channel)),
                Some(count) => *count -= 1,
                None if self.hub.is_listened_to(&channel) && self.subscribed.contains(&*channel) => {
                    bail!("a cluster moved {channel} to another server");
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }
}

/// Returns once the server does not answer or refuses a write.
async fn keep_checking(mut server: Server) -> anyhow::Error {
    loop {
        if let Err(error) = server.write_check().await {
            return error.into();
        }
        sleep(CHECK_EVERY).await;
    }
}
