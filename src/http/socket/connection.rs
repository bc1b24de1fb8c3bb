//! Serves one socket: receives messages, runs operations and sends frames.
//!
//! ```text
//!  operation (a task) ──► Frame ──┐
//!  operation (a task) ──► Frame ──┼──► queue (256 frames, 256 KiB) ──► socket
//!  operation (a task) ──► Frame ──┘
//! ```
//!
//! Each operation is a task, so that it releases what it holds, such as a database connection, at its own pace and not at the
//! reader's. All operations of the socket share one bounded queue, so a slow reader pauses its own operations and no others. The
//! reply log keeps the text that is written meanwhile.

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
    protocol::{Close, State, Step, header},
};
use crate::{
    domain::auth::Caller,
    error::Error,
    graphql::{RequestContext, is_rejected},
    http::{api::Api, backlog::UnreadBytes, rejection::unread_limit},
    telemetry::{metrics::Transport, traces::TRACE_PARENT},
};

const INIT_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// A peer that sends nothing, or reads nothing that is sent to it, for this long is considered gone.
const PEER_TIMEOUT: Duration = Duration::from_mins(1);
/// On shutdown, frames of operations are sent until no new frame is queued for this long.
const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_millis(250);
/// The maximum time for which frames of operations are sent on shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for the close frame of the peer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of ready frames that are written together.
const MAX_WRITE_BATCH: usize = 64;

/// The maximum number of queued frames, and of their bytes. Operations of a slow reader pause at the maximum.
const MAX_QUEUED: usize = 256;
const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// An operation produces its next frame when this many bytes of the queue are free.
const FREE_BYTES: u32 = 64 * 1024;

/// A queued message of an operation.
struct Frame {
    id: String,
    /// Distinguishes operations that have had the same id.
    number: u64,
    /// None if the subprotocol has no such message.
    text: Option<Utf8Bytes>,
    /// Whether it is the last frame of the operation.
    ends: bool,
    /// The permit for its bytes in the queue.
    permit: OwnedSemaphorePermit,
}

/// A running operation, which ends when this is dropped.
struct Operation {
    number: u64,
    _task: AbortOnDropHandle<()>,
}

/// Why a socket ends.
enum End {
    Close(Close),
    /// The peer has closed the socket or does not respond, or its connection must be closed to free memory.
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
    frame_sender: mpsc::Sender<Box<Frame>>,
    /// Boxed, because the channel of an idle socket has memory for 32 of them.
    frames: mpsc::Receiver<Box<Frame>>,
    queue_bytes: Arc<Semaphore>,
    unread: Arc<UnreadBytes>,
    context: Option<RequestContext>,
    signed_out: BoxFuture<'static, ()>,
}

/// Serves a socket until either side closes it.
pub(super) async fn serve(api: Arc<Api>, socket: WebSocket, caller: Caller, unread: Arc<UnreadBytes>) {
    let chosen = socket.protocol().and_then(|name| Dialect::named(name.as_bytes()));
    let dialect = chosen.unwrap_or(Dialect::Transport);
    let (sink, mut incoming) = socket.split();
    let (frame_sender, frames) = mpsc::channel(MAX_QUEUED);
    let mut connection = Connection {
        api,
        caller,
        sink,
        dialect,
        state: State::new(dialect),
        operations: HashMap::new(),
        started: 0,
        frame_sender,
        frames,
        queue_bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
        unread,
        context: None,
        signed_out: future::pending().boxed(),
    };
    let end = if chosen.is_some() {
        connection.run(incoming.by_ref()).await
    } else {
        End::Close(Close::new(4406, "Subprotocol not acceptable: use graphql-transport-ws"))
    };
    connection.operations.clear();
    if let End::Close(Close { code, reason }) = end {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // Ends with the peer's close frame or after the timeout.
        let close = async {
            connection.sink.send(frame).await.ok()?;
            while let Some(Ok(_)) = incoming.next().await {}
            Some(())
        };
        let _ = timeout(CLOSE_TIMEOUT, close).await;
    } else {
        // Responds to the peer's close frame.
        let _ = timeout(CLOSE_TIMEOUT, connection.sink.close()).await;
    }
}

impl Connection {
    async fn run(&mut self, incoming: &mut SplitStream<WebSocket>) -> End {
        let closing = self.api.life.closing.clone();
        let init_until = Instant::now() + INIT_TIMEOUT;
        let mut received = Instant::now();
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                message = incoming.next() => {
                    received = Instant::now();
                    // Boxed, so that an idle socket does not hold the memory of a response.
                    Box::pin(self.receive(message)).await
                }
                Some(frame) = self.frames.recv() => Box::pin(self.write_frame(frame)).await,
                () = sleep_until(init_until), if !self.state.is_acknowledged() => {
                    Err(End::Close(Close::new(4408, "Connection initialisation timeout")))
                }
                () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
                _ = pings.tick() => {
                    if received.elapsed() > PEER_TIMEOUT {
                        Err(End::Gone)
                    } else {
                        Box::pin(self.ping()).await
                    }
                }
                () = closing.cancelled() => {
                    Box::pin(self.drain()).await;
                    Err(End::Close(Close::new(1012, "Service restart")))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
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
            Step::Reject { id, response } => {
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

    /// Without a token the caller is anonymous. An invalid token closes the socket.
    async fn authenticate(&mut self, payload: &InitPayload) -> Result<(), End> {
        let token = header(payload, "authorization");
        let trace_parent = header(payload, TRACE_PARENT).and_then(|text| text.parse().ok());
        let context =
            self.api.context(token, self.caller.clone()).await.map_err(|error| unavailable(&error))?;
        if let (Some(_), Err(why)) = (token, context.identity) {
            self.send(&ServerMessage::Rejected(why)).await?;
            return Err(End::Close(Close::new(4403, why)));
        }
        self.signed_out = self.api.wait_for_sign_out(&context.identity);
        self.context =
            Some(RequestContext { trace_parent, transport: Some(Transport::WebSocket), ..context });
        self.state.acknowledge();
        self.send(&ServerMessage::Ack).await?;
        self.send(&ServerMessage::Alive).await
    }

    fn start(&mut self, id: String, request: async_graphql::Request) {
        // In the log, each operation has its own request id.
        let Some(context) = &self.context else { return };
        let context = context.for_another_operation(&request.extensions);
        self.started += 1;
        let (number, dialect) = (self.started, self.dialect);
        let (frames, queue_bytes) = (self.frame_sender.clone(), self.queue_bytes.clone());
        let unread = self.unread.clone();
        let mut responses = self.api.executor.prepare_and_stream(request, context);
        let of = id.clone();
        let task = async move {
            loop {
                // The next response is produced only when the queue has capacity.
                if queue_bytes.acquire_many(FREE_BYTES).await.is_err() {
                    return;
                }
                let response = responses.next().await.map(|event| event.response);
                let (message, mut ends) = match &response {
                    Some(response) => (ServerMessage::Response { id: &of, response }, is_rejected(response)),
                    None => (ServerMessage::Complete { id: &of }, true),
                };
                let text = message.write(dialect);
                drop(response);
                let text = match text {
                    Some(text) => {
                        let accepted = unread.count_message(text).await;
                        ends |= accepted.is_none();
                        let rejection =
                            || ServerMessage::Response { id: &of, response: &unread_limit() }.write(dialect);
                        accepted.or_else(|| rejection().map(Utf8Bytes::from))
                    }
                    None => None,
                };
                // A frame that is longer than the queue acquires the whole capacity of the queue.
                let bytes = text.as_ref().map_or(0, |text| text.len()).min(MAX_QUEUED_BYTES);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let Ok(permit) = queue_bytes.clone().acquire_many_owned(bytes).await else { return };
                let frame = Box::new(Frame { id: of.clone(), number, text, ends, permit });
                if frames.send(frame).await.is_err() || ends {
                    return;
                }
            }
        };
        let task = AbortOnDropHandle::new(self.api.life.tasks.spawn(task));
        self.operations.insert(id, Operation { number, _task: task });
    }

    /// Writes a frame, together with other frames that are already queued.
    async fn write_frame(&mut self, frame: Box<Frame>) -> Result<(), End> {
        let mut next = Some(frame);
        let mut written = Vec::new();
        while let Some(frame) = next {
            let Frame { id, number, text, ends, permit } = *frame;
            // The queued frames of a stopped operation are dropped.
            if self.operations.get(&id).is_some_and(|operation| operation.number == number) {
                if ends {
                    self.operations.remove(&id);
                    self.state.ended(&id);
                }
                if let Some(text) = text {
                    self.in_time(async |sink| sink.feed(Message::text(text)).await).await?;
                }
                written.push(permit);
            }
            next = if written.len() < MAX_WRITE_BATCH { self.frames.try_recv().ok() } else { None };
        }
        self.in_time(async |sink| sink.flush().await).await
    }

    /// Sends the last frames of operations, such as the end of a reply for which the shutdown waited.
    async fn drain(&mut self) {
        let until = Instant::now() + DRAIN_TIMEOUT;
        while !self.operations.is_empty()
            && Instant::now() < until
            && let Ok(Some(frame)) = timeout(DRAIN_IDLE_TIMEOUT, self.frames.recv()).await
            && self.write_frame(frame).await.is_ok()
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

    /// Writes to the socket, unless the write times out or the socket must end before.
    async fn in_time(
        &mut self,
        write: impl AsyncFnOnce(&mut SplitSink<WebSocket, Message>) -> Result<(), axum::Error>,
    ) -> Result<(), End> {
        tokio::select! {
            biased;
            // Nothing more is written after the session has ended, even if a write is pending.
            () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
            () = self.unread.wait_until_evicted() => Err(End::Gone),
            written = timeout(PEER_TIMEOUT, write(&mut self.sink)) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }
}

/// Clients reconnect after the close code 1013, but not after 1011.
fn unavailable(error: &Error) -> End {
    tracing::error!(?error, "socket authentication failed");
    End::Close(Close::new(1013, "Try again later"))
}

fn is_too_long(error: &axum::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })))
}
