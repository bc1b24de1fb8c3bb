//! A stand-in for Gemini: a real HTTP server that speaks the real wire and does what a test tells it to.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// Holds an answer back until the test opens it, once for each time it is passed.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one answer pass once.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    /// Lets everything pass from now on.
    pub fn open_wide(&self) {
        self.0.add_permits(1_000_000);
    }

    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

#[derive(Clone)]
enum Act {
    Send(Bytes),
    Wait(Gate),
    /// Takes its time.
    Pause(Duration),
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays.
    Hang,
}

/// An answer: a status and what then happens.
#[derive(Clone)]
pub struct Script {
    status: StatusCode,
    headers: HeaderMap,
    acts: Vec<Act>,
}

impl Script {
    pub fn new() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), acts: Vec::new() }
    }

    /// Texts, each an event of its own, and a good end.
    pub fn says<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(Self::new(), Self::text).finish("STOP")
    }

    /// An answer of this status, without a body so far.
    pub fn status(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), ..Self::new() }
    }

    pub fn error(status: u16, body: &Value) -> Self {
        Self::status(status).raw(body.to_string())
    }

    /// An error as Gemini words it.
    pub fn fails(status: u16, name: &str, details: Value) -> Self {
        let error = json!({"code": status, "message": "A message of the provider's.", "status": name, "details": details});
        Self::error(status, &json!({ "error": error }))
    }

    /// The response has this header, too.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.acts.push(Act::Send(bytes.into()));
        self
    }

    pub fn event(self, response: &Value) -> Self {
        self.raw(format!("data: {response}\r\n\r\n"))
    }

    pub fn text(self, text: &str) -> Self {
        self.event(&chunk(text))
    }

    pub fn finish(self, reason: &str) -> Self {
        self.event(&finish(reason))
    }

    pub fn wait(mut self, gate: &Gate) -> Self {
        self.acts.push(Act::Wait(gate.clone()));
        self
    }

    pub fn pause(mut self, time: Duration) -> Self {
        self.acts.push(Act::Pause(time));
        self
    }

    pub fn cut(mut self) -> Self {
        self.acts.push(Act::Cut);
        self
    }

    pub fn hang(mut self) -> Self {
        self.acts.push(Act::Hang);
        self
    }
}

/// An event that carries text.
pub fn chunk(text: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8},
        "modelVersion": "model-a-001",
        "responseId": "r1",
    })
}

/// An event that ends an answer.
pub fn finish(reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 15},
        "modelVersion": "model-a-001",
    })
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Path and query.
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Value,
}

type Answer = Arc<dyn Fn(&Value) -> Script + Send + Sync>;

#[derive(Default)]
struct Memory {
    scripts: VecDeque<Script>,
    /// For calls without a script of their own.
    otherwise: Option<Answer>,
    calls: Vec<Call>,
    sent_at: Vec<Instant>,
}

pub struct StandIn {
    pub address: SocketAddr,
    memory: Arc<Mutex<Memory>>,
    server: JoinHandle<()>,
}

impl StandIn {
    pub async fn start() -> Self {
        let memory = Arc::new(Mutex::new(Memory::default()));
        let routes = Router::new().route("/v1beta/models/{call}", post(answer)).with_state(memory.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, memory, server }
    }

    /// The next call that has none gets this answer. Calls without one are answered "Yes."
    pub fn answers(&self, script: Script) {
        self.memory.lock().unwrap().scripts.push_back(script);
    }

    /// Calls without an answer of their own get what this makes of their body.
    pub fn answers_by(&self, otherwise: impl Fn(&Value) -> Script + Send + Sync + 'static) {
        self.memory.lock().unwrap().otherwise = Some(Arc::new(otherwise));
    }

    pub fn calls(&self) -> Vec<Call> {
        self.memory.lock().unwrap().calls.clone()
    }

    /// When each piece left.
    pub fn sent_at(&self) -> Vec<Instant> {
        self.memory.lock().unwrap().sent_at.clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(memory): State<Arc<Mutex<Memory>>>,
    Path(call): Path<String>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(call.ends_with(":streamGenerateContent"), "{call}");
    let script = {
        let mut memory = memory.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        let script =
            memory.scripts.pop_front().or_else(|| memory.otherwise.as_ref().map(|answer| answer(&body)));
        memory.calls.push(Call { uri: uri.to_string(), headers, body });
        script.unwrap_or_else(|| Script::says(["Yes", "."]))
    };
    let acts = stream::unfold((script.acts.into_iter(), memory), async |(mut acts, memory)| {
        loop {
            match acts.next()? {
                Act::Send(bytes) => {
                    memory.lock().unwrap().sent_at.push(Instant::now());
                    return Some((Ok(bytes), (acts, memory)));
                }
                Act::Wait(gate) => gate.pass().await,
                Act::Pause(time) => tokio::time::sleep(time).await,
                Act::Cut => return Some((Err(std::io::Error::other("cut")), (acts, memory))),
                Act::Hang => std::future::pending().await,
            }
        }
    });
    let kind = if script.status.is_success() { "text/event-stream" } else { "application/json" };
    let mut response = Response::new(Body::from_stream(acts));
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers;
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}
