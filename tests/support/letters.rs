//! A service that delivers one-time passwords, as Twilio or an operator's own: keeps what it was sent, and answers as told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};

use super::socket::PATIENCE;

#[derive(Clone)]
pub struct Letter {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Default)]
struct Office {
    letters: Mutex<Vec<Letter>>,
    answers: Mutex<VecDeque<(u16, String)>>,
    came: Notify,
}

pub struct PostOffice {
    pub address: SocketAddr,
    office: Arc<Office>,
    task: JoinHandle<()>,
}

impl PostOffice {
    pub async fn open() -> Self {
        let office = Arc::new(Office::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().fallback(take).with_state(office.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, office, task }
    }

    /// Answers the next letter with this status, after those that were told before.
    pub fn answers(&self, status: u16) {
        self.answers_with(status, "");
    }

    /// The same with a body.
    pub fn answers_with(&self, status: u16, body: &str) {
        self.office.answers.lock().unwrap().push_back((status, body.to_owned()));
    }

    /// So many letters, once they have come.
    pub async fn letters(&self, count: usize) -> Vec<Letter> {
        let came = async {
            loop {
                let next = self.office.came.notified();
                let letters = self.office.letters.lock().unwrap().clone();
                if letters.len() >= count {
                    return letters;
                }
                next.await;
            }
        };
        timeout(PATIENCE, came).await.expect("no letter comes")
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State(office): State<Arc<Office>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let body = String::from_utf8(body.to_vec()).unwrap();
    office.letters.lock().unwrap().push(Letter { path: uri.path().to_owned(), headers, body });
    office.came.notify_waiters();
    let (status, body) = office.answers.lock().unwrap().pop_front().unwrap_or((201, String::new()));
    (StatusCode::from_u16(status).unwrap(), body)
}
