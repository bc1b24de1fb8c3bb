//! A fake Gemini: an HTTP server that speaks Gemini's protocol and responds with the scripts of a test.

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

use super::socket::TEST_TIMEOUT;

/// How often the received calls are counted.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Blocks a response until the test opens the gate. Each opening lets one waiter pass.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter pass.
    pub fn open(&self) {
        self.0.add_permits(1);
    }

    /// Lets every waiter pass from now on.
    pub fn open_permanently(&self) {
        self.0.add_permits(1_000_000);
    }

    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

#[derive(Clone)]
enum Step {
    Send(Bytes),
    Wait(Gate),
    /// A delay.
    Pause(Duration),
    /// Breaks the connection.
    Disconnect,
    /// Sends nothing more and keeps the connection open.
    Hang,
}

/// The response to one call: a status, headers and a sequence of steps.
#[derive(Clone)]
pub struct Script {
    status: StatusCode,
    headers: HeaderMap,
    steps: Vec<Step>,
}

impl Script {
    pub fn new() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), steps: Vec::new() }
    }

    /// A successful response with one event per text.
    pub fn reply<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(Self::new(), Self::text).finish("STOP")
    }

    /// A response with this status and an empty body.
    pub fn status(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), ..Self::new() }
    }

    pub fn error(status: u16, body: &Value) -> Self {
        Self::status(status).raw(body.to_string())
    }

    /// An error in Gemini's format.
    pub fn gemini_error(status: u16, name: &str, details: Value) -> Self {
        let error = json!({"code": status, "message": "A message from the provider.", "status": name, "details": details});
        Self::error(status, &json!({ "error": error }))
    }

    /// Adds a response header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Send(bytes.into()));
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
        self.steps.push(Step::Wait(gate.clone()));
        self
    }

    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    pub fn disconnect(mut self) -> Self {
        self.steps.push(Step::Disconnect);
        self
    }

    pub fn hang(mut self) -> Self {
        self.steps.push(Step::Hang);
        self
    }
}

/// An event with text.
pub fn chunk(text: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8},
        "modelVersion": "model-a-001",
        "responseId": "r1",
    })
}

/// An event with a finish reason.
pub fn finish(reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 15},
        "modelVersion": "model-a-001",
    })
}

/// A received call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Path and query.
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Value,
}

type Respond = Arc<dyn Fn(&Value) -> Script + Send + Sync>;

#[derive(Default)]
struct GeminiState {
    scripts: VecDeque<Script>,
    /// Creates the script of a call if none is queued.
    default: Option<Respond>,
    calls: Vec<Call>,
    sent_at: Vec<Instant>,
}

pub struct FakeGemini {
    pub address: SocketAddr,
    state: Arc<Mutex<GeminiState>>,
    server: JoinHandle<()>,
}

impl FakeGemini {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(GeminiState::default()));
        let routes = Router::new().route("/v1beta/models/{call}", post(respond)).with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, state, server }
    }

    /// Queues the response to one call. If none is queued, [`respond_with`](Self::respond_with) applies; its default is "Yes."
    pub fn enqueue(&self, script: Script) {
        self.state.lock().unwrap().scripts.push_back(script);
    }

    /// Sets the function that computes a response from the call's body if none is queued.
    pub fn respond_with(&self, respond: impl Fn(&Value) -> Script + Send + Sync + 'static) {
        self.state.lock().unwrap().default = Some(Arc::new(respond));
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Waits until this many calls have been received.
    pub async fn wait_for_calls(&self, count: usize) {
        let received = async {
            while self.calls().len() < count {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, received).await.expect("calls are missing");
    }

    /// When each chunk was sent.
    pub fn sent_at(&self) -> Vec<Instant> {
        self.state.lock().unwrap().sent_at.clone()
    }
}

impl Drop for FakeGemini {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(
    State(state): State<Arc<Mutex<GeminiState>>>,
    Path(call): Path<String>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(call.ends_with(":streamGenerateContent"), "{call}");
    let script = {
        let mut state = state.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        let script =
            state.scripts.pop_front().or_else(|| state.default.as_ref().map(|respond| respond(&body)));
        state.calls.push(Call { uri: uri.to_string(), headers, body });
        script.unwrap_or_else(|| Script::reply(["Yes", "."]))
    };
    let steps = stream::unfold((script.steps.into_iter(), state), async |(mut steps, state)| {
        loop {
            match steps.next()? {
                Step::Send(bytes) => {
                    state.lock().unwrap().sent_at.push(Instant::now());
                    return Some((Ok(bytes), (steps, state)));
                }
                Step::Wait(gate) => gate.pass().await,
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Disconnect => {
                    return Some((Err(std::io::Error::other("disconnected")), (steps, state)));
                }
                Step::Hang => std::future::pending().await,
            }
        }
    });
    let kind = if script.status.is_success() { "text/event-stream" } else { "application/json" };
    let mut response = Response::new(Body::from_stream(steps));
    *response.status_mut() = script.status;
    *response.headers_mut() = script.headers;
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}
