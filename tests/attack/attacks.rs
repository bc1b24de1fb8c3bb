//! The attacks, and the chatroom that they read.

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

/// How long connections whose responses are not read are kept open.
const HOLD_TIME: Duration = Duration::from_secs(15);
/// The number of long replies in the target chatroom. Each has 512 KiB.
const REPLIES: usize = 18;
/// The number of alternatives of the short reply in the target chatroom.
const ALTERNATIVES: usize = 20;
/// The maximum CPU time of one query.
const MAX_CPU: Duration = Duration::from_secs(1);
/// The maximum memory of one query, in bytes.
const MAX_MEMORY: u64 = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub enum Attack {
    /// Sends the most expensive queries, 20 at a time.
    ConcurrentQueries,
    // The next six request long responses and do not read them.
    UnreadHttp1,
    UnreadHttp2,
    UnreadEventStreams,
    UnreadMultipart,
    UnreadSockets,
    /// Like `UnreadSockets`, with the older subprotocol, `graphql-ws`.
    UnreadLegacySockets,
    /// Sends batches of queries with long responses.
    Batches,
    /// Signs up with passwords whose strength is expensive to rate.
    ExpensivePasswords,
    /// Opens many subscriptions that receive nothing until one change reaches all of them.
    IdleSockets,
}

pub const ATTACKS: [Attack; 10] = [
    Attack::ConcurrentQueries,
    Attack::UnreadHttp1,
    Attack::UnreadHttp2,
    Attack::UnreadEventStreams,
    Attack::UnreadMultipart,
    Attack::UnreadSockets,
    Attack::UnreadLegacySockets,
    Attack::Batches,
    Attack::ExpensivePasswords,
    Attack::IdleSockets,
];

/// A chatroom with long replies, one of which has many alternatives, and its owner.
pub struct Target {
    pub user: TestUser,
    chatroom: TestChatroom,
    /// The id of one of the alternatives.
    alternative: String,
}

/// A query whose response has about 5 MiB: the texts of the newest long replies.
const LONG_QUERY: &str = "query($id: ID!) { chatroom(id: $id) { messages(last: 20) { nodes { content } } } }";
/// A subscription that begins with all earlier changes of the chatroom.
const BACKLOG: &str = "subscription($id: ID!) { chatroomEvents(chatroomId: $id, after: \"0\") {
    cursor change { ... on MessageChanged { message { content } } } } }";

impl Target {
    pub async fn prepare(address: SocketAddr) -> Self {
        let user = TestUser::sign_in(address, "+14155550123").await;
        let chatroom = user.create_chatroom("target").await;
        for _ in 0..REPLIES {
            user.read(&chatroom.send("long").await.reply).await;
        }
        let mut alternative = chatroom.send("hi").await.reply;
        for _ in 1..ALTERNATIVES {
            user.read(&alternative).await;
            alternative = user.regenerate(&alternative).await.unwrap().reply;
        }
        user.read(&alternative).await;
        Self { user, chatroom, alternative }
    }

    /// Uses the server as ordinary clients do, so that its pools and caches are filled before its memory is measured.
    pub async fn warm_up(&self) {
        self.send_sign_ups(2, "correct horse").await;
        for _ in 0..10 {
            self.measure_response_time().await;
        }
        self.user.post(&self.long_query()).await;
    }

    /// The request with [`LONG_QUERY`].
    fn long_query(&self) -> Value {
        json!({"query": LONG_QUERY, "variables": {"id": self.chatroom.id}})
    }

    /// The request with [`BACKLOG`].
    fn backlog(&self) -> Value {
        json!({"query": BACKLOG, "variables": {"id": self.chatroom.id}})
    }

    /// Executes a small query and returns how long it took.
    pub async fn measure_response_time(&self) -> Duration {
        let started = Instant::now();
        self.user.data("{ me { id } }", json!({})).await;
        started.elapsed()
    }

    /// Sends the most expensive queries one by one. None may take more than [`MAX_CPU`] and [`MAX_MEMORY`].
    pub async fn send_expensive_queries(&self, server: &Process) {
        for (name, query) in expensive_queries() {
            let (cpu_before, memory_before) = (server.cpu(), server.memory());
            server.reset_peak_memory();
            let variables = json!({"id": self.chatroom.id, "alternative": self.alternative});
            let response = self.user.execute(&query, variables).await;
            let cpu = server.cpu().saturating_sub(cpu_before);
            let memory = server.peak_memory().saturating_sub(memory_before);
            println!("{name}: {}, {} ms of CPU, {} MiB", code_of(&response), cpu.as_millis(), memory >> 20);
            assert!(cpu <= MAX_CPU && memory <= MAX_MEMORY, "{name} is too expensive");
        }
    }

    pub async fn run(&self, attack: Attack) {
        match attack {
            Attack::ConcurrentQueries => {
                let queries = expensive_queries();
                let variables = json!({"id": self.chatroom.id, "alternative": self.alternative});
                let calls = (0..5).flat_map(|_| &queries);
                let calls = calls.map(|(_, query)| self.user.execute(query, variables.clone()));
                stream::iter(calls).buffer_unordered(20).collect::<Vec<_>>().await;
            }
            Attack::UnreadHttp1 => self.hold_unread_http1(40, "application/json", &self.long_query()).await,
            Attack::UnreadHttp2 => {
                // Signed-in and anonymous callers attack at the same time.
                let schema = json!({"query": "{ __schema { types { name description fields { name description args { name description } } } } }"});
                let anonymous = self.hold_unread_http2("", &schema);
                let long = self.long_query();
                tokio::join!(self.hold_unread_http2(&self.user.token, &long), anonymous);
            }
            Attack::UnreadEventStreams => {
                self.hold_unread_http1(100, "text/event-stream", &self.backlog()).await;
            }
            Attack::UnreadMultipart => {
                self.hold_unread_http1(100, "multipart/mixed;subscriptionSpec=1.0", &self.backlog()).await;
            }
            Attack::UnreadSockets => self.hold_unread_sockets("graphql-transport-ws", "subscribe").await,
            Attack::UnreadLegacySockets => self.hold_unread_sockets("graphql-ws", "start").await,
            Attack::Batches => {
                let batch = Value::Array(vec![self.long_query(); 10]);
                let calls = (0..20).map(|_| self.user.post(&batch));
                join_all(calls).await;
            }
            Attack::ExpensivePasswords => {
                // The longest password that is allowed, with patterns that are expensive to rate.
                let crafted: String = "Pollux1!aA_".repeat(12).chars().take(128).collect();
                self.send_sign_ups(60, &crafted).await;
            }
            Attack::IdleSockets => self.hold_idle_sockets(2000).await,
        }
    }

    /// Opens connections that send a request and do not read the response.
    async fn hold_unread_http1(&self, connections: usize, accept: &str, request: &Value) {
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
        sleep(HOLD_TIME).await;
    }

    /// Opens a connection with a hundred streams whose flow-control windows stay at zero.
    async fn hold_unread_http2(&self, token: &str, request: &Value) {
        let connection = connect_with_small_buffer(self.user.address).await;
        let mut settings = h2::client::Builder::new();
        settings.initial_window_size(0);
        let (mut client, connection) = settings.handshake(connection).await.unwrap();
        let driver = tokio::spawn(connection);
        let body = Bytes::from(request.to_string());
        let mut held = Vec::new();
        let send = async {
            for _ in 0..100 {
                // If the server allows fewer streams, this waits until the timeout below.
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
        let _ = timeout(HOLD_TIME, send).await;
        sleep(HOLD_TIME).await;
        driver.abort();
    }

    /// Opens sockets that run the maximum number of operations and read nothing.
    async fn hold_unread_sockets(&self, protocol: &'static str, start_type: &str) {
        let payload = json!({ "authorization": format!("Bearer {}", self.user.token) });
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut socket = Socket::open(self.user.address, protocol, &[]).await.unwrap();
            socket.send(&json!({"type": "connection_init", "payload": payload})).await;
            socket.next().await.unwrap();
            for id in 0..100 {
                let payload = if id % 2 == 0 { self.backlog() } else { self.long_query() };
                socket.send(&json!({"type": start_type, "id": id.to_string(), "payload": payload})).await;
            }
            held.push(socket);
        }
        sleep(HOLD_TIME).await;
    }

    /// Sends sign-ups of different phone numbers concurrently, without a token.
    async fn send_sign_ups(&self, count: usize, password: &str) {
        let anonymous = TestUser::anonymous(self.user.address);
        let signup = "mutation($phone: PhoneNumber!, $password: String!) {
            signup(input: { phoneNumber: $phone, password: $password }) { user { id } } }";
        let calls = (0..count).map(|n| {
            let variables = json!({"phone": format!("+1415555{:04}", 5000 + n), "password": password});
            anonymous.execute(signup, variables)
        });
        join_all(calls).await;
    }

    /// Opens sockets that follow one chatroom, changes the chatroom, and reads one event from each socket.
    async fn hold_idle_sockets(&self, count: usize) {
        let mut held = Vec::new();
        for _ in 0..count {
            let mut socket = Socket::connect(self.user.address, &self.user.token).await;
            let subscription = "subscription($id: ID!) { chatroomEvents(chatroomId: $id) { cursor } }";
            socket.subscribe("1", subscription, &json!({ "id": self.chatroom.id })).await;
            held.push(socket);
        }
        let responded_in = self.measure_response_time().await;
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

/// Opens a connection with a small receive buffer, so that an unread response stays with the server.
async fn connect_with_small_buffer(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Queries with their descriptions. Their variables are `id`, the chatroom, and `alternative`.
fn expensive_queries() -> Vec<(&'static str, String)> {
    let nested = |depth: usize, field: &str| {
        format!(
            "query($alternative: ID!) {{ node(id: $alternative) {{ ... on Message {{ {} id {} }} }} }}",
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
            "long texts of which only the ids are selected",
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
            "nested types of the schema",
            "{ __schema { types { fields { type { fields { type { fields { name description args { name } } } } } } } } }"
                .to_owned(),
        ),
        (
            "thirty introspection queries in one",
            format!("{{ {} }}", aliases("__schema { types { name fields { name type { name } } } }")),
        ),
    ]
}
