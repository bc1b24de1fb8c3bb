//! The clients of the load generator. They share the cores with the server, so they do as little work as possible: they do not
//! parse responses that they only count.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::support::user::SEND_MESSAGE;

/// A keep-alive HTTP connection, which sends one request at a time.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request and returns the body of its response, which must be successful.
    pub async fn call(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        self.received.clear();
        let mut body = None;
        loop {
            assert_ne!(self.stream.read_buf(&mut self.received).await.unwrap(), 0, "the connection closed");
            body = body.or_else(|| find_body(&self.received));
            if let Some((start, length)) = body
                && self.received.len() >= start + length
            {
                return &self.received[start..];
            }
        }
    }

    /// Sends a message and returns the id of its reply.
    pub async fn send_message(&mut self, token: &str, chatroom: &str, content: &str) -> String {
        let variables = json!({ "input": { "chatroomId": chatroom, "content": content } });
        let response: Value =
            serde_json::from_slice(self.call(&graphql_request(token, SEND_MESSAGE, &variables)).await)
                .unwrap();
        let id = &response["data"]["sendMessage"]["reply"]["id"];
        id.as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }
}

/// The offset at which the body of a response starts, and the body's length. `None` while the head is incomplete.
fn find_body(response: &[u8]) -> Option<(usize, usize)> {
    let start = response.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&response[..start]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some((start, length.unwrap_or_else(|| panic!("{head}")).parse().unwrap()))
}

/// The bytes of an HTTP request with this operation. They can be sent any number of times.
pub fn graphql_request(token: &str, query: &str, variables: &Value) -> Vec<u8> {
    let body = json!({"query": query, "variables": variables}).to_string();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// A client of the graphql-transport-ws protocol.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub async fn open(address: SocketAddr, token: &str) -> Self {
        Self::open_on(TcpStream::connect(address).await.unwrap(), address, token).await
    }

    /// Like [`open`](Self::open), with a small receive buffer, so that the server soon notices a client that does not read.
    pub async fn open_with_small_buffer(address: SocketAddr, token: &str) -> Self {
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        Self::open_on(tcp.connect(address).await.unwrap(), address, token).await
    }

    async fn open_on(connection: TcpStream, address: SocketAddr, token: &str) -> Self {
        connection.set_nodelay(true).unwrap();
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let (stream, _) = client_async_with_config(request, connection, Some(config)).await.unwrap();
        let mut socket = Self(stream);
        let payload = json!({ "authorization": format!("Bearer {token}") });
        socket.send(&json!({"type": "connection_init", "payload": payload})).await;
        assert!(socket.next().await.contains("connection_ack"));
        socket
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: &Value) {
        let payload = json!({"query": query, "variables": variables});
        self.send(&json!({"type": "subscribe", "id": id, "payload": payload})).await;
    }

    async fn send(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Waits for the next text message.
    pub async fn next(&mut self) -> Utf8Bytes {
        loop {
            match self.0.next().await.expect("the socket closed").unwrap() {
                Message::Text(text) => return text,
                Message::Ping(_) | Message::Pong(_) => {}
                message => panic!("unexpected message {message:?}"),
            }
        }
    }
}
