//! A client that speaks graphql-transport-ws, frame by frame.

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

/// Longer than anything that works takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than a server waits for a peer that does not answer pings.
const SILENCE: Duration = Duration::from_mins(2);

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

    /// Opens a socket and has it acknowledged.
    pub async fn signed_in(address: SocketAddr, token: &str) -> Self {
        Self::open(address, "graphql-transport-ws", &[]).await.unwrap().acknowledged(token).await
    }

    /// The same on a system that keeps hardly anything of what is not read.
    pub async fn narrow(address: SocketAddr, token: &str) -> Self {
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(4096).unwrap();
        let (stream, _) = client_async(request, tcp.connect(address).await.unwrap()).await.unwrap();
        Self { stream }.acknowledged(token).await
    }

    async fn acknowledged(self, token: &str) -> Self {
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

    /// The next message, or the code with which the server closed (0: without one).
    pub async fn next(&mut self) -> Result<Value, (u16, String)> {
        self.next_within(PATIENCE).await
    }

    /// The same, waited for so long.
    pub async fn next_within(&mut self, patience: Duration) -> Result<Value, (u16, String)> {
        // Pings do not count as saying something.
        timeout(patience, self.listen()).await.expect("the server says nothing")
    }

    async fn listen(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Err((code.into(), reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err((0, String::new())),
            }
        }
    }

    /// Reads what the server sends until it ends the connection, and answers none of it, not even a ping.
    pub async fn stay_silent(self) {
        let mut stream = self.stream.into_inner();
        let mut nowhere = tokio::io::sink();
        let ended = tokio::io::copy(&mut stream, &mut nowhere);
        // A reset is an end, too.
        let _ = timeout(SILENCE, ended).await.expect("the server keeps the connection");
    }

    /// The code with which the server closes, whatever it says before.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Err((code, _)) = self.next().await {
                return code;
            }
        }
    }
}
