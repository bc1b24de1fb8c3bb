//! The attacks.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use super::support::{TestUser, code_of, process::Process, socket::Socket, user::TestChatroom};

/// How long unread connections are kept open.
const HELD: Duration = Duration::from_secs(15);
/// The number of replies of 512 KiB in the chatroom.
const REPLIES: usize = 18;
/// The number of alternatives of one reply.
const ALTERNATIVES: usize = 20;
/// The maximum CPU time of one query.
const MAX_CPU: Duration = Duration::from_secs(1);
/// The maximum memory of one query, in bytes.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub enum Attack {
    QueriesAtOnce,
    UnreadHttp1,
    UnreadHttp2,
    UnreadEventStreams,
    UnreadMultipart,
    UnreadSockets,
    UnreadOldSockets,
    Batches,
    ExpensivePasswords,
    IdleSockets,
}

pub const ATTACKS: [Attack; 10] = [
    Attack::QueriesAtOnce,
    Attack::UnreadHttp1,
    Attack::UnreadHttp2,
    Attack::UnreadEventStreams,
    Attack::UnreadMultipart,
    Attack::UnreadSockets,
    Attack::UnreadOldSockets,
    Attack::Batches,
    Attack::ExpensivePasswords,
    Attack::IdleSockets,
];

/// A chatroom with long replies, one of which has many alternatives, and its owner.
pub struct Target {
    pub user: TestUser,
    chatroom: TestChatroom,
    /// One of the alternatives.
    version: String,
}

/// A query whose response has about 5 MiB.
const LONG_QUERY: &str = "query($id: ID!) { chatroom(id: $id) { messages(last: 20) { nodes { content } } } }";
const BACKLOG: &str = "subscription($id: ID!) { chatroomEvents(chatroomId: $id, after: \"0\") {
    cursor change { ... on MessageChanged { message { content } } } } }";

impl Target {
    pub async fn prepare(address: SocketAddr) -> Self {
        let user = TestUser::sign_in(address, "+14155550123").await;
        let chatroom = user.create_chatroom("target").await;
        for _ in 0..REPLIES {
            user.read(&chatroom.send("long").await.reply).await;
        }
        let mut version = chatroom.send("hi").await.reply;
        for _ in 1..ALTERNATIVES {
            user.read(&version).await;
            version = user.regenerate(&version).await.unwrap().reply;
        }
        user.read(&version).await;
        Self { user, chatroom, version }
    }

    /// Ordinary use, which warms up the server's memory.
    pub async fn ordinary_use(&self) {
        self.sign_ups(2, "correct horse").await;
        for _ in 0..10 {
            self.response_time().await;
        }
        self.user.post(&self.long_query()).await;
    }

    fn long_query(&self) -> Value {
        json!({"query": LONG_QUERY, "variables": {"id": self.chatroom.id}})
    }

    fn backlog(&self) -> Value {
        json!({"query": BACKLOG, "variables": {"id": self.chatroom.id}})
    }

    /// Executes a small query and returns how long it took.
    pub async fn response_time(&self) -> Duration {
        let started = Instant::now();
        self.user.data("{ me { id } }", json!({})).await;
        started.elapsed()
    }

    /// Sends the most expensive queries one by one. None may take more than a second of CPU time or 64 MiB.
    pub async fn expensive_queries(&self, server: &Process) {
        for (name, query) in expensive_queries() {
            let (cpu, memory) = (server.cpu(), server.memory());
            server.reset_peak_memory();
            let variables = json!({"id": self.chatroom.id, "version": self.version});
            let response = self.user.execute(&query, variables).await;
            let cpu = server.cpu().saturating_sub(cpu);
            let grown = server.peak_memory().saturating_sub(memory);
            println!("{name}: {}, {} ms of CPU, {} MiB", code_of(&response), cpu.as_millis(), grown >> 20);
            assert!(cpu <= MAX_CPU && grown <= MAX_MEMORY, "{name} is too expensive");
        }
    }

    pub async fn run(&self, attack: Attack) {
        match attack {
            Attack::QueriesAtOnce => {
                let queries = expensive_queries();
                let variables = json!({"id": self.chatroom.id, "version": self.version});
                let calls = (0..5).flat_map(|_| &queries);
                let calls = calls.map(|(_, query)| self.user.execute(query, variables.clone()));
                stream::iter(calls).buffer_unordered(20).collect::<Vec<_>>().await;
            }
            Attack::UnreadHttp1 => self.unread_http1(40, "application/json", &self.long_query()).await,
            Attack::UnreadHttp2 => {
                // Signed-in and anonymous callers attack at the same time.
                let schema = json!({"query": "{ __schema { types { name description fields { name description args { name description } } } } }"});
                let anonymous = self.unread_http2("", &schema);
                let long = self.long_query();
                tokio::join!(self.unread_http2(&self.user.token, &long), anonymous);
            }
            Attack::UnreadEventStreams => self.unread_http1(100, "text/event-stream", &self.backlog()).await,
            Attack::UnreadMultipart => {
                self.unread_http1(100, "multipart/mixed;subscriptionSpec=1.0", &self.backlog()).await;
            }
            Attack::UnreadSockets => self.unread_sockets("graphql-transport-ws", "subscribe").await,
            Attack::UnreadOldSockets => self.unread_sockets("graphql-ws", "start").await,
            Attack::Batches => {
                let batch = Value::Array(vec![self.long_query(); 10]);
                let calls = (0..20).map(|_| self.user.post(&batch));
                join_all(calls).await;
            }
            Attack::ExpensivePasswords => {
                // The longest password that is allowed, with patterns that are expensive to rate.
                let crafted: String = "Pollux1!aA_".repeat(12).chars().take(128).collect();
                self.sign_ups(60, &crafted).await;
            }
            Attack::IdleSockets => self.idle_sockets(2000).await,
        }
    }

    /// Opens connections that send a request and do not read the response.
    async fn unread_http1(&self, connections: usize, accept: &str, request: &Value) {
        let body = request.to_string();
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: {accept}\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.user.token,
            body.len()
        );
        let mut held = Vec::new();
        for _ in 0..connections {
            let mut connection = connect_with_small_buffer(self.user.address).await;
            connection.write_all(request.as_bytes()).await.unwrap();
            held.push(connection);
        }
        sleep(HELD).await;
    }

    /// Opens a connection with a hundred streams whose flow-control windows stay at zero.
    async fn unread_http2(&self, token: &str, request: &Value) {
        let connection = connect_with_small_buffer(self.user.address).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        let (mut client, connection) = builder.handshake(connection).await.unwrap();
        let driver = tokio::spawn(connection);
        let body = Bytes::from(request.to_string());
        let mut held = Vec::new();
        let send = async {
            for _ in 0..100 {
                // The server may allow fewer streams.
                client = client.ready().await.unwrap();
                let mut request = axum::http::Request::post(format!("http://{}/graphql", self.user.address))
                    .header("content-type", "application/json");
                if !token.is_empty() {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let (response, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
                stream.send_data(body.clone(), true).unwrap();
                held.push((response, stream));
            }
        };
        let _ = timeout(HELD, send).await;
        sleep(HELD).await;
        driver.abort();
    }

    /// Opens sockets that run the maximum number of operations and read nothing.
    async fn unread_sockets(&self, protocol: &'static str, start: &str) {
        let payload = json!({ "authorization": format!("Bearer {}", self.user.token) });
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut socket = Socket::open(self.user.address, protocol, &[]).await.unwrap();
            socket.send(&json!({"type": "connection_init", "payload": payload})).await;
            socket.next().await.unwrap();
            for id in 0..100 {
                let payload = if id % 2 == 0 { self.backlog() } else { self.long_query() };
                socket.send(&json!({"type": start, "id": id.to_string(), "payload": payload})).await;
            }
            held.push(socket);
        }
        sleep(HELD).await;
    }

    /// Sends sign-ups concurrently, without a token.
    async fn sign_ups(&self, count: usize, password: &str) {
        let anonymous = TestUser::anonymous(self.user.address);
        let signup = "mutation($phone: PhoneNumber!, $password: String!) {
            signup(input: { phoneNumber: $phone, password: $password }) { user { id } } }";
        let calls = (0..count).map(|n| {
            let variables = json!({"phone": format!("+1415555{:04}", 5000 + n), "password": password});
            anonymous.execute(signup, variables)
        });
        join_all(calls).await;
    }

    async fn idle_sockets(&self, count: usize) {
        let mut held = Vec::new();
        for _ in 0..count {
            let mut socket = Socket::connect(self.user.address, &self.user.token).await;
            let follow = "subscription($id: ID!) { chatroomEvents(chatroomId: $id) { cursor } }";
            socket.subscribe("1", follow, &json!({ "id": self.chatroom.id })).await;
            held.push(socket);
        }
        let responded_in = self.response_time().await;
        println!("with {count} idle sockets: a response in {:.1} ms", responded_in.as_secs_f64() * 1e3);
        // All sockets receive this change.
        self.user
            .data(
                "mutation($id: ID!) { updateChatroom(input: {id: $id, title: \"t\"}) { chatroom { id } } }",
                json!({ "id": self.chatroom.id }),
            )
            .await;
        for socket in &mut held {
            socket.next().await.unwrap();
        }
    }
}

/// A connection with a small receive buffer.
async fn connect_with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

fn expensive_queries() -> Vec<(&'static str, String)> {
    let nested = |depth: usize, field: &str| {
        format!(
            "query($version: ID!) {{ node(id: $version) {{ ... on Message {{ {} id {} }} }} }}",
            format!("{field} {{ ").repeat(depth),
            "}".repeat(depth)
        )
    };
    let aliases = |field: &str| (0..30).map(|n| format!("a{n}: {field} ")).collect::<Vec<_>>().concat();
    vec![
        ("nested alternatives", nested(2, "alternatives")),
        ("doubly nested alternatives", nested(3, "alternatives")),
        ("a hundred alternatives of each", nested(2, "alternatives(last: 100)")),
        ("a chain of parents", nested(9, "inReplyTo")),
        (
            "long texts",
            "query($id: ID!) { chatroom(id: $id) { messages(last: 100) { nodes { content } } } }".to_owned(),
        ),
        (
            "one long text thirty times",
            format!(
                "query($id: ID!) {{ chatroom(id: $id) {{ messages(first: 2) {{ nodes {{ {} }} }} }} }}",
                aliases("content")
            ),
        ),
        (
            "long texts that are not shown",
            format!(
                "query($id: ID!) {{ {} }}",
                (0..10)
                    .map(|n| format!("a{n}: chatroom(id: $id) {{ messages(last: {}) {{ nodes {{ id }} }} }} ", 90 + n))
                    .collect::<Vec<_>>()
                    .concat()
            ),
        ),
        (
            "chatrooms of chatrooms",
            "{ chatrooms(first: 100) { nodes { messages(first: 9) { nodes { id } } lastMessage { chatroom { id } } } } }"
                .to_owned(),
        ),
        ("sessions", format!("{{ {} }}", "sessions { id current createdAt } ")),
        (
            "the schema of the schema",
            "{ __schema { types { fields { type { fields { type { fields { name description args { name } } } } } } } } }"
                .to_owned(),
        ),
        (
            "thirty schemas",
            format!("{{ {} }}", aliases("__schema { types { name fields { name type { name } } } }")),
        ),
    ]
}
