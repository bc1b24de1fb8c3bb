//! One socket: reads, runs operations, writes.
//!
//! Each operation is a task of its own, so that whatever it holds, such as a connection to the database, it gives back
//! at its own pace and not at the reader's. What operations say goes through one bounded queue: a slow reader costs that
//! many frames and nobody else anything, and what a reply says meanwhile is in its log.

use std::{collections::HashMap, error::Error as _, sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{
    FutureExt, SinkExt, StreamExt,
    future::{self, BoxFuture},
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tungstenite::error::CapacityError;

use super::{
    messages::{Dialect, InitPayload, ServerMessage},
    protocol::{Close, State, Step, authorization},
};
use crate::{
    domain::auth::Caller,
    error::Error,
    graphql::{RequestContext, is_refused},
    http::{Api, backlog::Unread, graphql::too_much_unread},
};

const INIT_WITHIN: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(25);
/// A peer that says nothing and reads nothing for so long is gone.
const SILENT_FOR: Duration = Duration::from_mins(1);
/// A server that closes waits for its operations to fall silent for so long, and no longer than that.
const QUIET: Duration = Duration::from_millis(250);
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a peer may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(1);
/// Frames that are ready together are written together, up to so many.
const WRITTEN_TOGETHER: usize = 64;

/// Frames that wait for a slow reader before its operations wait, too, and their bytes.
const QUEUE: usize = 256;
const QUEUED: usize = 256 * 1024;

/// An operation goes on where so much of it is free.
const ROOM_TO_SPEAK: u32 = 64 * 1024;

/// What an operation says.
struct Said {
    id: String,
    /// Which of the operations that had this id.
    number: u64,
    /// None: the subprotocol has no word for it.
    text: Option<Utf8Bytes>,
    /// Whether it is the last.
    ends: bool,
    /// Of the bytes that may wait.
    room: OwnedSemaphorePermit,
}

/// A running operation, which ends when this is dropped.
struct Operation {
    number: u64,
    _task: AbortOnDropHandle<()>,
}

enum End {
    Close(Close),
    Gone,
}

struct Connection {
    api: Arc<Api>,
    caller: Caller,
    sink: SplitSink<WebSocket, Message>,
    dialect: Dialect,
    state: State,
    operations: HashMap<String, Operation>,
    started: u64,
    say: mpsc::Sender<Said>,
    said: mpsc::Receiver<Said>,
    room: Arc<Semaphore>,
    unread: Arc<Unread>,
    context: Option<RequestContext>,
    signed_out: BoxFuture<'static, ()>,
}

/// Serves a socket until either side closes it.
pub(super) async fn serve(api: Arc<Api>, socket: WebSocket, caller: Caller, unread: Arc<Unread>) {
    let speaks = socket.protocol().and_then(|chosen| Dialect::named(chosen.as_bytes()));
    let dialect = speaks.unwrap_or(Dialect::Transport);
    let (sink, mut incoming) = socket.split();
    let (say, said) = mpsc::channel(QUEUE);
    let mut connection = Connection {
        api,
        caller,
        sink,
        dialect,
        state: State::new(dialect),
        operations: HashMap::new(),
        started: 0,
        say,
        said,
        room: Arc::new(Semaphore::new(QUEUED)),
        unread,
        context: None,
        signed_out: future::pending().boxed(),
    };
    let end = if speaks.is_some() {
        connection.run(incoming.by_ref()).await
    } else {
        End::Close(Close::new(4406, "Subprotocol not acceptable: use graphql-transport-ws"))
    };
    connection.operations.clear();
    if let End::Close(Close { code, reason }) = end {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // The peer's own close frame, or its silence, ends it.
        let farewell = async {
            connection.sink.send(frame).await.ok()?;
            while let Some(Ok(_)) = incoming.next().await {}
            Some(())
        };
        let _ = timeout(FAREWELL, farewell).await;
    } else {
        // Answers the peer's close frame.
        let _ = timeout(FAREWELL, connection.sink.close()).await;
    }
}

impl Connection {
    async fn run(&mut self, incoming: &mut SplitStream<WebSocket>) -> End {
        let closing = self.api.life.closing.clone();
        let init_until = Instant::now() + INIT_WITHIN;
        let mut heard = Instant::now();
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                message = incoming.next() => {
                    heard = Instant::now();
                    // A socket mostly waits: what it needs to answer it has only while it answers.
                    Box::pin(self.hear(message)).await
                }
                Some(said) = self.said.recv() => Box::pin(self.write_said(said)).await,
                () = sleep_until(init_until), if !self.state.is_acknowledged() => {
                    Err(End::Close(Close::new(4408, "Connection initialisation timeout")))
                }
                () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
                _ = pings.tick() => {
                    if heard.elapsed() > SILENT_FOR {
                        Err(End::Gone)
                    } else {
                        Box::pin(self.ping()).await
                    }
                }
                () = closing.cancelled() => {
                    Box::pin(self.write_last_words()).await;
                    Err(End::Close(Close::new(1012, "Service restart")))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        if (&mut self.signed_out).now_or_never().is_some() {
            return Err(End::Close(Close::token_expired()));
        }
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                return Err(End::Close(Close::invalid_message("Invalid message: binary")));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Err(error)) if is_too_long(&error) => {
                return Err(End::Close(Close::too_long()));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
        };
        match self.state.receive(&text) {
            Step::Authenticate(payload) => self.authenticate(&payload).await,
            Step::Pong(payload) => self.send(&ServerMessage::Pong(payload)).await,
            Step::Start { id, request } => {
                self.start(id, *request);
                Ok(())
            }
            Step::Refuse { id, response } => {
                self.send(&ServerMessage::Response { id: &id, response: &response }).await
            }
            Step::Stop { id } => {
                self.operations.remove(&id);
                Ok(())
            }
            Step::Nothing => Ok(()),
            Step::Close(close) => Err(End::Close(close)),
        }
    }

    /// No token is nobody; a token that does not hold is refused.
    async fn authenticate(&mut self, payload: &InitPayload) -> Result<(), End> {
        let token = authorization(payload);
        let context =
            self.api.context(token, self.caller.clone()).await.map_err(|error| unavailable(&error))?;
        if let (Some(_), Err(why)) = (token, context.identity) {
            self.send(&ServerMessage::Refused(why)).await?;
            return Err(End::Close(Close::new(4403, why)));
        }
        self.signed_out = self.api.signed_out(&context.identity);
        self.context = Some(context);
        self.state.acknowledge();
        self.send(&ServerMessage::Ack).await?;
        self.send(&ServerMessage::Alive).await
    }

    fn start(&mut self, id: String, request: async_graphql::Request) {
        // Each operation is a request of its own in the log.
        let Some(context) = self.context.as_ref().map(RequestContext::another) else { return };
        self.started += 1;
        let (number, dialect, say, room) = (self.started, self.dialect, self.say.clone(), self.room.clone());
        let unread = self.unread.clone();
        let mut responses = self.api.executor.answer(request, context);
        let of = id.clone();
        let task = async move {
            loop {
                // Nothing is made to be told before there is room for it.
                if room.acquire_many(ROOM_TO_SPEAK).await.is_err() {
                    return;
                }
                let response = responses.next().await;
                let (message, mut ends) = match &response {
                    Some(response) => (ServerMessage::Response { id: &of, response }, is_refused(response)),
                    None => (ServerMessage::Complete { id: &of }, true),
                };
                let text = message.write(dialect);
                drop(response);
                let text = match text {
                    Some(text) => {
                        let accepted = unread.message(text).await;
                        ends |= accepted.is_none();
                        let refuse = || {
                            ServerMessage::Response { id: &of, response: &too_much_unread() }.write(dialect)
                        };
                        accepted.or_else(|| refuse().map(Utf8Bytes::from))
                    }
                    None => None,
                };
                // One that is longer than there is room has it to itself.
                let bytes = text.as_ref().map_or(0, |text| text.len()).min(QUEUED);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let Ok(room) = room.clone().acquire_many_owned(bytes).await else { return };
                if say.send(Said { id: of.clone(), number, text, ends, room }).await.is_err() || ends {
                    return;
                }
            }
        };
        let task = AbortOnDropHandle::new(self.api.life.tasks.spawn(task));
        self.operations.insert(id, Operation { number, _task: task });
    }

    /// Writes what an operation said, and with it what is ready by then.
    async fn write_said(&mut self, said: Said) -> Result<(), End> {
        let mut next = Some(said);
        let mut written = Vec::new();
        while let Some(Said { id, number, text, ends, room }) = next {
            // What a stopped operation had still to say is not said.
            if self.operations.get(&id).is_some_and(|operation| operation.number == number) {
                if ends {
                    self.operations.remove(&id);
                    self.state.ended(&id);
                }
                if let Some(text) = text {
                    self.in_time(async |sink| sink.feed(Message::text(text)).await).await?;
                }
                written.push(room);
            }
            next = if written.len() < WRITTEN_TOGETHER { self.said.try_recv().ok() } else { None };
        }
        self.in_time(async |sink| sink.flush().await).await
    }

    /// Lets operations say what they were about to, such as the end of a reply that the closing waited for.
    async fn write_last_words(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        while !self.operations.is_empty()
            && Instant::now() < until
            && let Ok(Some(said)) = timeout(QUIET, self.said.recv()).await
            && self.write_said(said).await.is_ok()
        {}
    }

    async fn send(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        let Some(text) = message.write(self.dialect) else { return Ok(()) };
        self.in_time(async |sink| sink.send(Message::text(text)).await).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.send(&ServerMessage::Alive).await?;
        self.in_time(async |sink| sink.send(Message::Ping(axum::body::Bytes::new())).await).await
    }

    async fn in_time(
        &mut self,
        write: impl AsyncFnOnce(&mut SplitSink<WebSocket, Message>) -> Result<(), axum::Error>,
    ) -> Result<(), End> {
        tokio::select! {
            biased;
            // Whoever is signed out gets no more, however long the last of it takes.
            () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
            () = self.unread.is_evicted() => Err(End::Gone),
            written = timeout(SILENT_FOR, write(&mut self.sink)) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }
}

/// Clients come back after 1013; after 1011 they give up.
fn unavailable(error: &Error) -> End {
    tracing::error!(?error, "a socket could not be authenticated");
    End::Close(Close::new(1013, "Try again later"))
}

fn is_too_long(error: &axum::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })))
}
