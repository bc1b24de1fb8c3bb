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

use std::{collections::HashMap, sync::Arc, time::Duration};

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

use super::{
    messages::{InitPayload, ServerMessage, Subprotocol},
    protocol::{Close, State, Step, header},
};
use crate::{
    domain::auth::Caller,
    graphql::{RequestContext, is_rejected},
    http::{api::Api, backlog::UnreadBytes, rejection::unread_limit},
    telemetry::{metrics::Transport, traces::TRACE_PARENT},
};

const INIT_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// A peer that sends nothing, or reads nothing that is sent to it, for this long is considered gone.
const PEER_TIMEOUT: Duration = Duration::from_mins(1);
/// On shutdown, frames of operations are sent until no frame has been queued for this long.
const DRAIN_IDLE_TIMEOUT: Duration = Duration::from_millis(250);
/// The maximum time for which frames of operations are sent on shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the server waits for the peer's close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of ready frames that are written together.
const MAX_WRITE_BATCH: usize = 64;
/// The maximum number of queued frames, and of their bytes. When a slow reader fills the queue, its operations pause.
const MAX_QUEUED: usize = 256;
const MAX_QUEUED_BYTES: usize = 256 * 1024;
/// An operation produces its next frame only when this many bytes of the queue are free.
const FREE_BYTES: u32 = 64 * 1024;

/// A queued message of an operation.
struct Frame {
    id: String,
    /// The number of the operation. It distinguishes operations that have used the same id.
    number: u64,
    /// None if the subprotocol has no such message.
    text: Option<Utf8Bytes>,
    /// Whether it is the last frame of the operation.
    is_last: bool,
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
    subprotocol: Subprotocol,
    state: State,
    running_operations: HashMap<String, Operation>,
    started_operations: u64,
    frame_sender: mpsc::Sender<Box<Frame>>,
    /// Frames are boxed, because even the channel of an idle socket has memory for 32 items.
    frames: mpsc::Receiver<Box<Frame>>,
    queue_bytes: Arc<Semaphore>,
    unread: Arc<UnreadBytes>,
    /// None until the socket is authenticated.
    context: Option<RequestContext>,
    /// Resolves when the caller's token has expired or the session has ended.
    signed_out: BoxFuture<'static, ()>,
}

/// Serves a socket until either side closes it. Holds `guards` until then.
///
/// Not an `async fn`, whose future would have memory for the arguments twice.
pub(super) fn serve(
    api: Arc<Api>,
    socket: WebSocket,
    caller: Caller,
    unread: Arc<UnreadBytes>,
    guards: impl Send,
) -> impl Future<Output = ()> + Send {
    let negotiated = socket.protocol().and_then(|name| Subprotocol::from_name(name.as_bytes()));
    let subprotocol = negotiated.unwrap_or(Subprotocol::TransportWs);
    let (sink, mut incoming) = socket.split();
    let (frame_sender, frames) = mpsc::channel(MAX_QUEUED);
    let mut connection = Connection {
        api,
        caller,
        sink,
        subprotocol,
        state: State::new(subprotocol),
        running_operations: HashMap::new(),
        started_operations: 0,
        frame_sender,
        frames,
        queue_bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES)),
        unread,
        context: None,
        signed_out: future::pending().boxed(),
    };
    async move {
        let end = if negotiated.is_some() {
            connection.run(incoming.by_ref()).await
        } else {
            End::Close(Close::new(4406, "Subprotocol not acceptable: use graphql-transport-ws"))
        };
        connection.running_operations.clear();
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
            // If the peer has sent a close frame, this responds to it.
            let _ = timeout(CLOSE_TIMEOUT, connection.sink.close()).await;
        }
        drop(guards);
    }
}

impl Connection {
    async fn run(&mut self, incoming: &mut SplitStream<WebSocket>) -> End {
        let closing = self.api.life.closing.clone();
        let init_deadline = Instant::now() + INIT_TIMEOUT;
        let mut last_received_at = Instant::now();
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let result = tokio::select! {
                message = incoming.next() => {
                    last_received_at = Instant::now();
                    // The futures are boxed, so that an idle socket does not hold the memory of a response.
                    Box::pin(self.receive(message)).await
                }
                Some(frame) = self.frames.recv() => Box::pin(self.write_frame(frame)).await,
                () = sleep_until(init_deadline), if !self.state.is_acknowledged() => {
                    Err(End::Close(Close::new(4408, "Connection initialisation timeout")))
                }
                () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
                _ = pings.tick() => {
                    if last_received_at.elapsed() > PEER_TIMEOUT {
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
            if let Err(end) = result {
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
            Some(Err(error)) if Close::is_too_long(&error) => return Err(End::Close(Close::too_long())),
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
                self.running_operations.remove(&id);
                Ok(())
            }
            Step::Nothing => Ok(()),
            Step::Close(close) => Err(End::Close(close)),
        }
    }

    /// Authenticates by the token in the payload. Without a token, the caller is anonymous. An invalid token closes the socket.
    async fn authenticate(&mut self, payload: &InitPayload) -> Result<(), End> {
        let token = header(payload, "authorization");
        let trace_parent = header(payload, TRACE_PARENT).and_then(|text| text.parse().ok());
        let context = self.api.context(token, self.caller.clone()).await;
        let context = context.inspect_err(|error| tracing::error!(?error, "socket authentication failed"));
        let context = context.map_err(|_| End::Close(Close::unavailable()))?;
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

    /// Starts an operation, as a task that queues its frames.
    fn start(&mut self, id: String, request: async_graphql::Request) {
        let Some(context) = &self.context else { return };
        let context = context.for_another_operation(&request.extensions);
        self.started_operations += 1;
        let (number, subprotocol) = (self.started_operations, self.subprotocol);
        let (frames, queue_bytes) = (self.frame_sender.clone(), self.queue_bytes.clone());
        let unread = self.unread.clone();
        let mut responses = self.api.executor.prepare_and_stream(request, context);
        let key = id.clone();
        let task = async move {
            loop {
                // Waits until the queue has capacity. The permit is dropped at once: the frame acquires its own below.
                if queue_bytes.acquire_many(FREE_BYTES).await.is_err() {
                    return;
                }
                let response = responses.next().await.map(|event| event.response);
                let (message, mut is_last) = match &response {
                    Some(response) => (ServerMessage::Response { id: &id, response }, is_rejected(response)),
                    None => (ServerMessage::Complete { id: &id }, true),
                };
                let text = message.to_text(subprotocol);
                drop(response);
                let text = match text {
                    Some(text) => {
                        let accepted = unread.count_message(text).await;
                        is_last |= accepted.is_none();
                        let rejection = || {
                            ServerMessage::Response { id: &id, response: &unread_limit() }
                                .to_text(subprotocol)
                        };
                        accepted.or_else(|| rejection().map(Utf8Bytes::from))
                    }
                    None => None,
                };
                // A frame that exceeds the capacity of the queue acquires the whole capacity.
                let bytes = text.as_ref().map_or(0, |text| text.len()).min(MAX_QUEUED_BYTES);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let Ok(permit) = queue_bytes.clone().acquire_many_owned(bytes).await else { return };
                let frame = Box::new(Frame { id: id.clone(), number, text, is_last, permit });
                if frames.send(frame).await.is_err() || is_last {
                    return;
                }
            }
        };
        let task = AbortOnDropHandle::new(self.api.life.tasks.spawn(task));
        self.running_operations.insert(key, Operation { number, _task: task });
    }

    /// Writes a frame, together with other frames that are already queued. Their permits are held until all are flushed.
    async fn write_frame(&mut self, frame: Box<Frame>) -> Result<(), End> {
        let mut next = Some(frame);
        let mut permits = Vec::new();
        while let Some(frame) = next {
            let Frame { id, number, text, is_last, permit } = *frame;
            // The queued frames of a stopped operation are dropped.
            if self.running_operations.get(&id).is_some_and(|operation| operation.number == number) {
                if is_last {
                    self.running_operations.remove(&id);
                    self.state.end_operation(&id);
                }
                if let Some(text) = text {
                    self.write_in_time(async |sink| sink.feed(Message::text(text)).await).await?;
                }
                permits.push(permit);
            }
            next = if permits.len() < MAX_WRITE_BATCH { self.frames.try_recv().ok() } else { None };
        }
        self.write_in_time(async |sink| sink.flush().await).await
    }

    /// Sends the last frames of operations, such as the end of a reply for which the shutdown waited.
    async fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        while !self.running_operations.is_empty()
            && Instant::now() < deadline
            && let Ok(Some(frame)) = timeout(DRAIN_IDLE_TIMEOUT, self.frames.recv()).await
            && self.write_frame(frame).await.is_ok()
        {}
    }

    async fn send(&mut self, message: &ServerMessage<'_>) -> Result<(), End> {
        let Some(text) = message.to_text(self.subprotocol) else { return Ok(()) };
        self.write_in_time(async |sink| sink.send(Message::text(text)).await).await
    }

    async fn ping(&mut self) -> Result<(), End> {
        self.send(&ServerMessage::Alive).await?;
        self.write_in_time(async |sink| sink.send(Message::Ping(axum::body::Bytes::new())).await).await
    }

    /// Writes to the socket. Returns an error if the write fails or times out, or if the socket must end before it completes.
    async fn write_in_time(
        &mut self,
        write: impl AsyncFnOnce(&mut SplitSink<WebSocket, Message>) -> Result<(), axum::Error>,
    ) -> Result<(), End> {
        tokio::select! {
            biased;
            // After the session has ended, nothing more is written: a pending write is abandoned.
            () = &mut self.signed_out => Err(End::Close(Close::token_expired())),
            () = self.unread.wait_until_evicted() => Err(End::Gone),
            written = timeout(PEER_TIMEOUT, write(&mut self.sink)) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }
}
