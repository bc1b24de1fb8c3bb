//! Limits how many bytes of responses clients leave unread, and for how long.
//!
//! ```text
//!  handler ──► response ──► permit? ──► chunks ──► hyper ──► socket
//!                              │ no: 429     │ none read for 60 s: the connection is closed
//! ```
//!
//! A response waits until the socket accepts it and, over HTTP/2, until the client's flow-control windows permit it. The write
//! timeout of the connection limits only the wait for the socket. A response of one chunk needs no permit, because a connection
//! has a maximum number of concurrent streams, and so of such responses. If the process has no capacity left, it closes the
//! connection whose client has not read for the longest time.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, ws::Utf8Bytes},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{budget::Budget, rejection::unread_limit_response};

/// A connection is closed when its client has read nothing of a response for this long.
pub(super) const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// The maximum size of a chunk that is handed to the connection, in bytes.
const CHUNK: usize = 16 * 1024;
/// The maximum number of unread bytes of the process, and of one connection.
const MAX_UNREAD: usize = 96 * 1024 * 1024;
const MAX_UNREAD_OF_CONNECTION: usize = 32 * 1024 * 1024;
/// While a connection has more unread bytes than this, its next requests wait.
const MAX_UNREAD_BEFORE_NEXT_REQUEST: usize = 8 * 1024 * 1024;
/// A connection whose client has read nothing for this long may be closed to free memory for others.
const EVICTABLE_AFTER: Duration = Duration::from_secs(1);
/// The response id of all messages of a connection's WebSocket, which count as one response.
const SOCKET_RESPONSE_ID: u64 = u64::MAX;
/// How long a response waits for the memory that the closing of another connection frees.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);

/// The unread bytes of all connections of the process.
pub(super) struct Backlog {
    budget: Budget,
    connections: Mutex<HashMap<u64, Weak<UnreadBytes>>>,
    /// The next id of a connection or of a response.
    next_id: AtomicU64,
}

/// The unread bytes of one connection.
pub(super) struct UnreadBytes {
    id: u64,
    backlog: Arc<Backlog>,
    budget: Budget,
    /// The responses with unread chunks, by id: the number of unread chunks, and the time at which a chunk was last read.
    responses: Mutex<HashMap<u64, (usize, Instant)>>,
    evicted: CancellationToken,
}

/// A permit for a number of unread bytes.
struct Permit {
    connection: Arc<UnreadBytes>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connection.budget.release(self.bytes);
        self.connection.backlog.budget.release(self.bytes);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backlog {
    pub(super) fn new() -> Arc<Self> {
        Self::with_capacity(MAX_UNREAD)
    }

    fn with_capacity(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            budget: Budget::new(bytes),
            connections: Mutex::default(),
            next_id: AtomicU64::default(),
        })
    }

    /// Registers a new connection.
    pub(super) fn add_connection(self: &Arc<Self>) -> Arc<UnreadBytes> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(UnreadBytes {
            id,
            backlog: self.clone(),
            budget: Budget::new(MAX_UNREAD_OF_CONNECTION),
            responses: Mutex::default(),
            evicted: CancellationToken::new(),
        });
        lock(&self.connections).insert(id, Arc::downgrade(&connection));
        connection
    }

    /// Closes the connection whose client has read nothing for the longest time, if that is at least [`EVICTABLE_AFTER`].
    fn evict(&self) {
        let connections: Vec<_> = lock(&self.connections).values().filter_map(Weak::upgrade).collect();
        let idle = connections.iter().filter_map(|connection| Some((connection.idle_since()?, connection)));
        let longest_idle = idle
            .filter(|(since, connection)| since.elapsed() >= EVICTABLE_AFTER && connection.budget.used() > 0)
            .min_by_key(|(since, _)| *since);
        if let Some((since, connection)) = longest_idle {
            tracing::warn!(
                idle_secs = since.elapsed().as_secs(),
                "closing a connection that does not read: the memory for unread responses is used up"
            );
            connection.evicted.cancel();
        }
    }
}

impl UnreadBytes {
    /// Waits until the client has read so much that its connection may execute another request.
    async fn wait_until_below_limit(&self) {
        self.budget.wait_until_at_most(MAX_UNREAD_BEFORE_NEXT_REQUEST).await;
    }

    /// Waits until the connection must be closed: its client has read nothing of a response for [`READ_TIMEOUT`], or other
    /// connections need the memory of its unread bytes.
    pub(super) async fn wait_until_stalled_or_evicted(&self) {
        let stalled = async {
            loop {
                let now = Instant::now();
                let deadline = self.idle_since().unwrap_or(now) + READ_TIMEOUT;
                if deadline <= now {
                    return;
                }
                sleep_until(deadline).await;
            }
        };
        tokio::select! {
            () = stalled => {}
            () = self.evicted.cancelled() => {}
        }
    }

    /// Waits until other connections need the memory of this one's unread bytes.
    pub(super) async fn wait_until_evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Counts a WebSocket message that is longer than one chunk until it is written. Returns none if there is no capacity for it.
    pub(super) async fn count_message(self: &Arc<Self>, text: String) -> Option<Utf8Bytes> {
        if text.len() <= CHUNK {
            return Some(text.into());
        }
        let permit = self.permit(text.len()).await?;
        self.count_chunk(SOCKET_RESPONSE_ID, text.into(), Some(permit)).try_into().ok()
    }

    /// The time since which the client has read nothing of some response. None if it has read all responses.
    fn idle_since(&self) -> Option<Instant> {
        lock(&self.responses).values().map(|(_, since)| *since).min()
    }

    fn try_permit(self: &Arc<Self>, bytes: usize) -> Option<Arc<Permit>> {
        if !self.budget.try_acquire(bytes) {
            return None;
        }
        if !self.backlog.budget.try_acquire(bytes) {
            self.budget.release(bytes);
            return None;
        }
        Some(Arc::new(Permit { connection: self.clone(), bytes }))
    }

    /// As [`try_permit`](Self::try_permit), but [evicts](Backlog::evict) a connection if the process has no capacity left.
    async fn permit(self: &Arc<Self>, bytes: usize) -> Option<Arc<Permit>> {
        if let Some(permit) = self.try_permit(bytes) {
            return Some(permit);
        }
        let budget = &self.backlog.budget;
        let max_used = budget.limit().checked_sub(bytes)?;
        if budget.used() > max_used {
            self.backlog.evict();
            timeout(EVICTION_TIMEOUT, budget.wait_until_at_most(max_used)).await.ok()?;
        }
        self.try_permit(bytes)
    }

    /// Counts a chunk until the returned bytes are dropped.
    fn count_chunk(self: &Arc<Self>, response_id: u64, bytes: Bytes, permit: Option<Arc<Permit>>) -> Bytes {
        lock(&self.responses).entry(response_id).or_insert_with(|| (0, Instant::now())).0 += 1;
        Bytes::from_owner(Chunk { bytes, response_id, connection: self.clone(), _permit: permit })
    }

    fn record_chunk_read(&self, response_id: u64) {
        let mut responses = lock(&self.responses);
        if let Some((chunks, since)) = responses.get_mut(&response_id) {
            *chunks -= 1;
            *since = Instant::now();
            if *chunks == 0 {
                responses.remove(&response_id);
            }
        }
    }
}

impl Drop for UnreadBytes {
    fn drop(&mut self) {
        lock(&self.backlog.connections).remove(&self.id);
    }
}

/// Bytes of a response; dropped when the connection has written them.
struct Chunk {
    bytes: Bytes,
    response_id: u64,
    connection: Arc<UnreadBytes>,
    _permit: Option<Arc<Permit>>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.connection.record_chunk_read(self.response_id);
    }
}

/// A body that is handed to the connection in chunks.
struct Chunked {
    body: Body,
    response_id: u64,
    connection: Arc<UnreadBytes>,
    /// The permit for the whole body, if its length is known and exceeds one chunk.
    body_permit: Option<Arc<Permit>>,
    /// The rest of the current frame of `body`, and the permit for that frame.
    rest: Bytes,
    frame_permit: Option<Arc<Permit>>,
}

impl HttpBody for Chunked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(data) => self.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
            self.frame_permit = self.body_permit.clone();
            if self.frame_permit.is_none() && self.rest.len() > CHUNK {
                self.frame_permit = self.connection.try_permit(self.rest.len());
                if self.frame_permit.is_none() {
                    return Poll::Ready(Some(Err(axum::Error::new("too many unread bytes"))));
                }
            }
        }
        let length = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(length);
        // The chunks of a frame share its permit, which is released when the last of them is read.
        let permit = self.frame_permit.clone();
        if self.rest.is_empty() {
            self.frame_permit = None;
        }
        Poll::Ready(Some(Ok(Frame::data(self.connection.count_chunk(self.response_id, chunk, permit)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, size) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(size.lower() + rest);
        if let Some(upper) = size.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// Executes a request once its connection has few enough unread bytes, and counts the bytes of its response until the client has
/// read them.
pub(super) async fn limit_unread_bytes<F>(request: Request, execute: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let connection = request.extensions().get::<Arc<UnreadBytes>>().cloned();
    if let Some(connection) = &connection {
        connection.wait_until_below_limit().await;
    }
    let response = execute(request).await;
    let Some(connection) = connection else { return response };
    if response.body().is_end_stream() {
        return response;
    }
    let length = response.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let large = length.filter(|length| *length > CHUNK);
    let body_permit = match large {
        Some(length) => match connection.permit(length).await {
            Some(permit) => Some(permit),
            None => return unread_limit_response(),
        },
        None => None,
    };
    let response_id = connection.backlog.next_id.fetch_add(1, Ordering::Relaxed);
    response.map(|body| {
        let rest = Bytes::new();
        Body::new(Chunked { body, response_id, connection, body_permit, rest, frame_permit: None })
    })
}
