//! HTTP/2: flow control of responses, concurrent streams and WebSockets (RFC 8441).

use std::{net::SocketAddr, time::Duration};

use axum::http::{Method, Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::support::{TestApp, TestUser, process::Deployment, socket::TEST_TIMEOUT};

/// Opens an HTTP/2 connection with flow-control windows of this many bytes.
async fn connect(server: SocketAddr, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(server).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (requests, connection) = builder.initial_window_size(window).handshake(stream).await.unwrap();
    TaskTracker::new().spawn(connection);
    requests
}

/// An anonymous query with a large response.
fn large_query() -> Bytes {
    let types = "types { name description fields { name description args { name description } } }";
    let aliases: Vec<_> = (0..13).map(|n| format!("a{n}: __schema {{ {types} }}")).collect();
    json!({ "query": format!("{{ {} }}", aliases.join(" ")) }).to_string().into()
}

/// Posts a body to the API on a new stream of the connection. `None` if the connection or the stream is closed.
async fn post(requests: &SendRequest<Bytes>, host: SocketAddr, body: Bytes) -> Option<Response<RecvStream>> {
    let request = Request::post(format!("http://{host}/graphql")).header("content-type", "application/json");
    let mut requests = requests.clone().ready().await.ok()?;
    let (response, mut sent) = requests.send_request(request.body(()).unwrap(), false).ok()?;
    sent.send_data(body, true).ok()?;
    response.await.ok()
}

#[tokio::test]
async fn unread_responses_use_bounded_memory_and_release_it() {
    let deployment = Deployment::new().await;
    let server = deployment.start().await;
    let anonymous = TestUser::anonymous(server.address);
    let query = large_query();
    // Warms up pools, caches and the allocator.
    for _ in 0..3 {
        let request = anonymous.http.post(format!("http://{}/graphql", server.address)).body(query.clone());
        let response = request.header("content-type", "application/json").send().await.unwrap().bytes().await;
        let response = response.unwrap();
        assert!(
            response.len() > 300_000,
            "{}",
            String::from_utf8_lossy(&response[..response.len().min(300)])
        );
    }
    let before = server.memory();
    let mut unread = Vec::new();
    for _ in 0..3 {
        let requests = connect(server.address, 0).await;
        let posts = (0..100).map(|_| post(&requests, server.address, query.clone()));
        // Most requests do not get a response: they wait until earlier responses are read, or are rejected because unread
        // responses take too much memory.
        let _ = timeout(Duration::from_secs(10), join_all(posts)).await;
        unread.push(requests);
    }
    // Unread responses may take 96 MiB (SECURITY.md). The other 64 MiB are a margin for everything else that the requests use.
    let during = server.memory();
    assert!(during < before + 160 * 1024 * 1024, "{} MiB more", (during - before) >> 20);
    drop(unread);
    let closed_at = Instant::now();
    while server.memory() > before * 3 / 2 {
        assert!(closed_at.elapsed() < Duration::from_mins(1), "{before} before, {} after", server.memory());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(anonymous.data("{ __typename }", json!({})).await, json!({"__typename": "Query"}));
}

#[tokio::test]
async fn an_http2_connection_has_at_most_32_concurrent_requests() {
    let app = TestApp::start().await;
    let requests = connect(app.address, 65_535).await;
    let response = post(&requests, app.address, Bytes::from_static(b"{\"query\":\"{ __typename }\"}")).await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(requests.current_max_send_streams(), 32);
    app.stop().await;
}

/// A WebSocket on an HTTP/2 stream (RFC 8441).
struct Http2Socket {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    /// The bytes that have been received and not yet returned as a message.
    received: BytesMut,
}

impl Http2Socket {
    async fn open(app: &TestApp, origin: &str) -> Result<Self, StatusCode> {
        let mut requests = connect(app.address, 65_535).await.ready().await.unwrap();
        // The server's SETTINGS allow extended CONNECT. They arrive no later than the first response, so this waits for one.
        post(&requests, app.address, Bytes::from_static(b"{}")).await.unwrap();
        assert!(requests.is_extended_connect_protocol_enabled());
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/graphql", app.address))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "graphql-transport-ws")
            .header("origin", origin)
            .extension(Protocol::from("websocket"));
        let (response, sender) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        let (head, receiver) = timeout(TEST_TIMEOUT, response).await.unwrap().unwrap().into_parts();
        if head.status != StatusCode::OK {
            return Err(head.status);
        }
        assert_eq!(head.headers["sec-websocket-protocol"], "graphql-transport-ws");
        Ok(Self { sender, receiver, received: BytesMut::new() })
    }

    /// Sends a short text message, masked with zeros.
    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        assert!(text.len() < 126);
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.sender.send_data(frame.into(), false).unwrap();
    }

    /// The next message, which must be short.
    async fn next(&mut self) -> Value {
        loop {
            if let [0x81, length, ..] = self.received[..]
                && self.received.len() >= 2 + usize::from(length)
            {
                assert!(length < 126);
                let frame = self.received.split_to(2 + usize::from(length));
                return serde_json::from_slice(&frame[2..]).unwrap();
            }
            let data = timeout(TEST_TIMEOUT, self.receiver.data()).await.unwrap().unwrap().unwrap();
            self.receiver.flow_control().release_capacity(data.len()).unwrap();
            self.received.extend_from_slice(&data);
        }
    }
}

#[tokio::test]
async fn a_websocket_opens_on_an_http2_stream() {
    let app = TestApp::start().await;
    let mut socket = Http2Socket::open(&app, "http://localhost:5173").await.unwrap();
    socket.send(&json!({"type": "connection_init"}));
    assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
    socket.send(&json!({"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}));
    assert_eq!(socket.next().await["payload"], json!({"data": {"__typename": "Query"}}));
    assert_eq!(socket.next().await, json!({"type": "complete", "id": "1"}));
    assert_eq!(Http2Socket::open(&app, "https://evil.example").await.err(), Some(StatusCode::FORBIDDEN));
    app.stop().await;
}
