//! A fake of a service that delivers one-time passwords, such as Twilio or an operator's webhook. It records the requests and
//! sends the responses that a test enqueues.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract,
    http::{HeaderMap, StatusCode, Uri},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};

use super::socket::TEST_TIMEOUT;

#[derive(Clone)]
pub struct RecordedRequest {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<RecordedRequest>>,
    responses: Mutex<VecDeque<(u16, String)>>,
    received: Notify,
}

pub struct DeliveryService {
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl DeliveryService {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().fallback(receive).with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, state, task }
    }

    /// Enqueues a response with this status. If none is enqueued, the status is 201.
    pub fn enqueue_status(&self, status: u16) {
        self.enqueue_response(status, "");
    }

    /// Enqueues a response with a body.
    pub fn enqueue_response(&self, status: u16, body: &str) {
        self.state.responses.lock().unwrap().push_back((status, body.to_owned()));
    }

    /// Waits until this many requests have arrived, and returns all requests.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<RecordedRequest> {
        let received = async {
            loop {
                // Created before the requests are read, so that no request is missed in between.
                let next_request = self.state.received.notified();
                let requests = self.state.requests.lock().unwrap().clone();
                if requests.len() >= count {
                    return requests;
                }
                next_request.await;
            }
        };
        timeout(TEST_TIMEOUT, received).await.expect("the delivery service received too few requests")
    }
}

impl Drop for DeliveryService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let body = String::from_utf8(body.to_vec()).unwrap();
    state.requests.lock().unwrap().push(RecordedRequest { path: uri.path().to_owned(), headers, body });
    state.received.notify_waiters();
    let (status, body) = state.responses.lock().unwrap().pop_front().unwrap_or((201, String::new()));
    (StatusCode::from_u16(status).unwrap(), body)
}
