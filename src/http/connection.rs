//! Serves one connection: selects its protocol and enforces its timeouts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, http::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceBuilder;
use tower_http::add_extension::AddExtensionLayer;

use super::{
    backlog::{Backlog, READ_TIMEOUT},
    body::MAX_BODY,
    peers::ConnectionPermit,
};

/// How long a connection may take to send the headers of its first request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may be idle, including the time for the headers of the next request. Longer than the 60 s for which
/// common load balancers keep idle connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum number of concurrent requests on an HTTP/2 connection.
const MAX_STREAMS: u32 = 32;
/// The flow-control window for all request bodies of an HTTP/2 connection, in bytes. The window of one stream is the maximum body
/// size.
const BODY_WINDOW: u32 = 1024 * 1024;

/// Serves connections. Clones share the limits for unread bytes.
#[derive(Clone)]
pub(super) struct Connections {
    builder: auto::Builder<TokioExecutor>,
    routes: Router,
    backlog: Arc<Backlog>,
}

impl Connections {
    pub(super) fn new(routes: Router) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // The letter case of header names is recorded, because `graphql::upgrade` repeats it in its response.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).preserve_header_case(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(u32::try_from(MAX_BODY).ok())
            .initial_connection_window_size(BODY_WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PONG_TIMEOUT);
        Self { builder, routes, backlog: Backlog::new() }
    }

    /// Serves a connection until it closes.
    pub(super) async fn serve<S>(
        self,
        stream: S,
        peer: SocketAddr,
        permit: Option<Arc<ConnectionPermit>>,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let has_request = Arc::new(AtomicBool::new(false));
        let has_request_flag = has_request.clone();
        let unread = self.backlog.add_connection();
        let service = ServiceBuilder::new()
            .layer(AddExtensionLayer::new(ConnectInfo(peer)))
            .layer(AddExtensionLayer::new(permit.clone()))
            .layer(AddExtensionLayer::new(unread.clone()))
            .map_request(move |request: Request<Incoming>| {
                has_request_flag.store(true, Ordering::Relaxed);
                request
            })
            .service(self.routes);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(READ_TIMEOUT));
        let stream = TokioIo::new(Box::pin(stream));
        let connection =
            self.builder.serve_connection_with_upgrades(stream, TowerToHyperService::new(service));
        // Completes only if no request has arrived within the timeout.
        let no_request = async {
            sleep(HEADERS_TIMEOUT).await;
            if has_request.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = watcher.watch(connection.into_owned()) => if let Err(error) = ended {
                tracing::debug!(error, "connection failed");
            },
            () = no_request => tracing::debug!("connection closed: no request"),
            () = unread.wait_until_stalled_or_evicted() => {
                tracing::debug!("connection closed: the client does not read responses");
            }
        }
        // The permit is held until the connection is closed.
        drop(permit);
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, middleware, routing::get};
    use bytes::Bytes;
    use futures_util::{StreamExt, future::join_all, stream};
    use h2::client::SendRequest;
    use hyper_util::server::graceful::GracefulShutdown;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, timeout},
    };
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::http::limits;

    const MIB: usize = 1024 * 1024;
    const GET_SMALL: &[u8] = b"GET /small HTTP/1.1\r\nhost: localhost\r\n\r\n";

    fn connections() -> Connections {
        let events = || async {
            Body::from_stream(
                stream::iter(0..).map(|_| Ok::<_, std::io::Error>(Bytes::from("x".repeat(1000)))),
            )
        };
        // The delay makes concurrent requests overlap.
        let large = || async {
            sleep(Duration::from_millis(1)).await;
            "x".repeat(8 * MIB)
        };
        let routes = Router::new()
            .route("/small", get("Small"))
            .route("/large", get(large))
            .route("/events", get(events))
            .layer(middleware::from_fn(limits::apply));
        Connections::new(routes)
    }

    /// Opens a connection. The future resolves when the server closes it, to the time for which it was open.
    fn open(connections: &Connections) -> (DuplexStream, impl Future<Output = Duration> + use<>) {
        let (client, server) = duplex(1024);
        let (opened_at, peer) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], 1)));
        let shutdown = GracefulShutdown::new();
        let serve = connections.clone().serve(server, peer, None, shutdown.watcher());
        let task = TaskTracker::new().spawn(serve);
        (client, async move {
            let ended = timeout(Duration::from_mins(10), task).await;
            ended.expect("the server keeps the connection open").unwrap();
            drop(shutdown);
            opened_at.elapsed()
        })
    }

    /// Starts an HTTP/2 client with flow-control windows of `window` bytes.
    async fn http2(io: DuplexStream, window: u32) -> SendRequest<Bytes> {
        let mut builder = h2::client::Builder::new();
        let (requests, connection) = builder.initial_window_size(window).handshake(io).await.unwrap();
        TaskTracker::new().spawn(connection);
        requests
    }

    async fn request(requests: &SendRequest<Bytes>, path: &str) -> hyper::Response<h2::RecvStream> {
        let request = Request::get(format!("http://localhost{path}")).body(()).unwrap();
        let mut requests = requests.clone().ready().await.unwrap();
        requests.send_request(request, true).unwrap().0.await.unwrap()
    }

    /// Asserts the duration, rounded to seconds.
    fn assert_seconds(duration: Duration, expected: u64) {
        assert_eq!((duration + Duration::from_millis(500)).as_secs(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_response_closes_its_http2_connection_after_a_minute() {
        for (path, window) in [("/small", 0), ("/large", 0), ("/large", 1), ("/events", 0), ("/events", 1000)]
        {
            let (client, ended) = open(&connections());
            let requests = http2(client, window).await;
            let response = request(&requests, path).await;
            assert_seconds(ended.await, 60);
            drop(response);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_response_closes_its_http1_connection_after_a_minute() {
        for path in ["/large", "/events"] {
            let (mut client, ended) = open(&connections());
            let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            assert_seconds(ended.await, 60);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_receives_the_whole_response() {
        let (client, _ended) = open(&connections());
        let requests = http2(client, 64 * 1024).await;
        let mut body = request(&requests, "/large").await.into_body();
        let mut length = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            length += data.len();
            // Reads 1 KiB every 0.9 s.
            sleep(Duration::from_millis(900) * u32::try_from(data.len()).unwrap() / 1024).await;
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        assert_eq!(length, 8 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_while_a_connection_has_too_many_unread_bytes() {
        let (client, _ended) = open(&connections());
        let requests = http2(client, 0).await;
        let responses = join_all((0..6).map(|_| request(&requests, "/large"))).await;
        let statuses: Vec<_> = responses.iter().map(hyper::Response::status).collect();
        let rejected = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
        // Four of the six responses of 8 MiB fit into the 32 MiB that a connection may have unread.
        assert_eq!((rejected, statuses.len()), (2, 6), "{statuses:?}");
        let waiting = timeout(Duration::from_secs(50), request(&requests, "/small")).await;
        assert!(waiting.is_err(), "the request waits while 32 MiB are unread");
        // Dropping the responses resets their streams, which frees their bytes as reading would.
        drop(responses);
        assert_eq!(request(&requests, "/small").await.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_stalled_connection_is_closed_when_memory_runs_out() {
        let connections = connections();
        let mut stalled = Vec::new();
        for _ in 0..4 {
            let (client, ended) = open(&connections);
            let requests = http2(client, 0).await;
            let responses = join_all((0..4).map(|_| request(&requests, "/large"))).await;
            assert!(responses.iter().all(|response| response.status() == 200));
            stalled.push((requests, responses, ended));
            sleep(Duration::from_secs(2)).await;
        }
        let (client, _ended) = open(&connections);
        let requests = http2(client, 0).await;
        assert_eq!(request(&requests, "/large").await.status(), 200);
        // The first connection is closed, after the four pauses of 2 s above.
        let (_requests, _responses, ended) = stalled.swap_remove(0);
        assert_seconds(ended.await, 8);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_stays_open_for_75_seconds() {
        let (mut client, ended) = open(&connections());
        client.write_all(GET_SMALL).await.unwrap();
        let mut response = [0; 12];
        client.read_exact(&mut response).await.unwrap();
        sleep(Duration::from_secs(70)).await;
        client.write_all(GET_SMALL).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(String::from_utf8(rest).unwrap().matches("HTTP/1.1 200").count(), 1);
        // The second request came after 70 s, and the connection was then idle for 75 s.
        assert_seconds(ended.await, 145);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed_after_30_seconds() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\nx-slow", b"PRI * HTTP/2.0"] {
            let (mut client, ended) = open(&connections());
            client.write_all(sent).await.unwrap();
            assert_seconds(ended.await, 30);
        }
    }
}
