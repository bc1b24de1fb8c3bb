//! A fake of a model's provider: an HTTP server that responds with the scripts of a test.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
    routing::post,
};
use futures_util::stream;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

use super::socket::TEST_TIMEOUT;

/// How often the received calls are counted.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Holds responses back until the test lets them pass, one by one or all.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one waiter pass.
    pub fn release_one(&self) {
        self.0.add_permits(1);
    }

    /// Lets every waiter pass from now on.
    pub fn open(&self) {
        // More than any test has waiters.
        self.0.add_permits(1_000_000);
    }

    /// Waits until this waiter may pass.
    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

#[derive(Clone)]
enum Step {
    Send(Bytes),
    Wait(Gate),
    Pause(Duration),
    /// Breaks the connection.
    Disconnect,
    /// Sends nothing more and keeps the connection open. When the client closes it, the channel's sender is dropped, which ends
    /// the receiver in the test.
    Hang(Option<mpsc::Sender<()>>),
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

    /// A response with this status and an empty body.
    pub fn status(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), ..Self::new() }
    }

    pub fn error(status: u16, body: &Value) -> Self {
        Self::status(status).raw(body.to_string())
    }

    /// Adds a response header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// Adds a part of the body, which is sent as one chunk after the steps before it.
    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(Step::Send(bytes.into()));
        self
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
        self.steps.push(Step::Hang(None));
        self
    }

    /// Like [`hang`](Self::hang). The receiver ends when the client closes the connection.
    pub fn hang_until_closed(mut self) -> (Self, mpsc::Receiver<()>) {
        let (sender, closed) = mpsc::channel(1);
        self.steps.push(Step::Hang(Some(sender)));
        (self, closed)
    }
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

struct ServerState {
    scripts: VecDeque<Script>,
    /// Creates the script of a call if none is queued.
    default: Respond,
    calls: Vec<Call>,
    sent_at: Vec<Instant>,
}

pub struct ModelServer {
    pub address: SocketAddr,
    state: Arc<Mutex<ServerState>>,
    server: JoinHandle<()>,
}

impl ModelServer {
    /// Starts a server that responds with scripts to calls of `path`, which may contain a parameter, and that has the `further`
    /// routes. If no script is queued for a call, the response is `default`.
    pub async fn start(path: &str, default: Script, further: Router) -> Self {
        let state = Arc::new(Mutex::new(ServerState {
            scripts: VecDeque::new(),
            default: Arc::new(move |_| default.clone()),
            calls: Vec::new(),
            sent_at: Vec::new(),
        }));
        let routes = Router::new().route(path, post(respond)).with_state(state.clone()).merge(further);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, state, server }
    }

    /// Queues the response to one call. If none is queued, the function of [`respond_with`](Self::respond_with) creates the
    /// response; without such a function, the response is the `default` of [`start`](Self::start).
    pub fn enqueue(&self, script: Script) {
        self.state.lock().unwrap().scripts.push_back(script);
    }

    /// Sets the function that computes a response from the call's body if none is queued.
    pub fn respond_with(&self, respond: impl Fn(&Value) -> Script + Send + Sync + 'static) {
        self.state.lock().unwrap().default = Arc::new(respond);
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
        tokio::time::timeout(TEST_TIMEOUT, received).await.expect("the model received too few calls");
    }

    /// The times at which the parts of all bodies were sent.
    pub fn sent_at(&self) -> Vec<Instant> {
        self.state.lock().unwrap().sent_at.clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(
    State(state): State<Arc<Mutex<ServerState>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let script = {
        let mut state = state.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        let script = state.scripts.pop_front().unwrap_or_else(|| (state.default)(&body));
        state.calls.push(Call { uri: uri.to_string(), headers, body });
        script
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
                Step::Hang(_sender) => std::future::pending().await,
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
