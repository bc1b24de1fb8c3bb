//! A client of the graphql-transport-ws protocol that sends and receives single messages.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// How long tests wait for something before they fail. It is longer than any successful step takes.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Longer than the server waits for a peer that sends no pongs.
const PING_TIMEOUT: Duration = Duration::from_mins(2);

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens a socket with these subprotocols and headers.
    pub async fn open(
        address: SocketAddr,
        protocols: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("ws://{address}/graphql").into_client_request()?;
        if !protocols.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        }
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (stream, _) = client_async(request, TcpStream::connect(address).await?).await?;
        Ok(Self { stream })
    }

    /// Opens a socket and initializes it with a token.
    pub async fn connect(address: SocketAddr, token: &str) -> Self {
        Self::open(address, "graphql-transport-ws", &[]).await.unwrap().initialize(token).await
    }

    /// Like [`connect`](Self::connect), with a small receive buffer, so that the server soon notices a client that does not read.
    pub async fn connect_with_small_buffer(address: SocketAddr, token: &str) -> Self {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        let (stream, _) = client_async(request, tcp.connect(address).await.unwrap()).await.unwrap();
        Self { stream }.initialize(token).await
    }

    async fn initialize(self, token: &str) -> Self {
        let mut socket = self;
        let payload = json!({ "authorization": format!("Bearer {token}") });
        socket.send(&json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(socket.next().await, Ok(json!({"type": "connection_ack"})));
        socket
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: &Value) {
        let payload = json!({"query": query, "variables": variables});
        self.send(&json!({"type": "subscribe", "id": id, "payload": payload})).await;
    }

    /// The next message, or the close code and reason. The code is 0 if the connection was closed without a close frame.
    pub async fn next(&mut self) -> Result<Value, (u16, String)> {
        self.next_within(TEST_TIMEOUT).await
    }

    /// Like [`next`](Self::next), with another timeout.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Value, (u16, String)> {
        // Pings do not extend the timeout.
        timeout(limit, self.receive()).await.expect("no message in time")
    }

    async fn receive(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Err((code.into(), reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => panic!("unexpected message {message:?}"),
                Some(Err(_)) | None => return Err((0, String::new())),
            }
        }
    }

    /// Reads until the server closes the connection, without sending pongs.
    pub async fn ignore_pings_until_closed(self) {
        let mut stream = self.stream.into_inner();
        let mut discarded = tokio::io::sink();
        let closed = tokio::io::copy(&mut stream, &mut discarded);
        // An error also counts, because it means that the server reset the connection.
        let _ = timeout(PING_TIMEOUT, closed).await.expect("the server did not close the connection in time");
    }

    /// Skips messages until the server closes the connection, and returns the close code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Err((code, _)) = self.next().await {
                return code;
            }
        }
    }
}
