//! A stand-in for the model. It sends the chunks of an answer at fixed times. The text of a chunk contains its number and the
//! time at which it was sent, so that its receiver can check the order and measure the delay.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::support::gemini;

/// The times in chunks are measured from this moment.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How the model answers.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The time from the call to the first chunk.
    pub first_chunk_after: Duration,
    pub chunks: usize,
    /// The time between two chunks.
    pub gap: Duration,
    /// The size of a chunk's text.
    pub chunk_bytes: usize,
}

impl Answer {
    /// A model that writes like a real one: forty chunks in a second.
    pub const TYPICAL: Self = Self {
        first_chunk_after: Duration::from_millis(300),
        chunks: 40,
        gap: Duration::from_millis(25),
        chunk_bytes: 96,
    };
    /// A model that answers at once, so that only Pollux takes time.
    pub const IMMEDIATE: Self =
        Self { first_chunk_after: Duration::ZERO, chunks: 10, gap: Duration::ZERO, chunk_bytes: 96 };
}

pub struct Model {
    pub address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    server: JoinHandle<()>,
}

impl Model {
    pub async fn start() -> Self {
        LazyLock::force(&START);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Answer::IMMEDIATE));
        let server = tokio::spawn(accept(listener, answer.clone()));
        Self { address, answer, server }
    }

    /// Sets the answer to all later calls.
    pub fn answer_with(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, answer: Arc<Mutex<Answer>>) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        connection.set_nodelay(true).unwrap();
        let answer = answer.clone();
        tokio::spawn(async move {
            let respond = service_fn(async |request: Request<Incoming>| {
                let _ = request.into_body().collect().await;
                let answer = *answer.lock().unwrap();
                let first_chunk_at = Instant::now() + answer.first_chunk_after;
                let chunks = stream::unfold(0, move |number| async move {
                    (number < answer.chunks).then_some(())?;
                    sleep_until(first_chunk_at + answer.gap * u32::try_from(number).unwrap()).await;
                    Some((Ok::<_, Infallible>(Frame::data(event(answer, number))), number + 1))
                });
                let mut response = Response::new(StreamBody::new(Box::pin(chunks)));
                response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
                Ok::<_, Infallible>(response)
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), respond).await;
        });
    }
}

/// The event of chunk `number`. Its text begins with `@<number>:<nanoseconds since START>;` and is padded to the chunk's size.
fn event(answer: Answer, number: usize) -> Bytes {
    let mut text = format!("@{number}:{};", START.elapsed().as_nanos());
    text.extend(std::iter::repeat_n('x', answer.chunk_bytes.saturating_sub(text.len())));
    let mut event = gemini::chunk(&text);
    if number + 1 == answer.chunks {
        event["candidates"][0]["finishReason"] = json!("STOP");
    }
    format!("data: {event}\r\n\r\n").into()
}

/// The number of each chunk that begins in `text`, and the time since it was sent.
pub fn received_chunks(text: &str) -> impl Iterator<Item = (usize, Duration)> {
    let now = START.elapsed();
    text.split('@').skip(1).map(move |chunk| {
        let (number, rest) = chunk.split_once(':').unwrap();
        let (sent, _) = rest.split_once(';').unwrap();
        (number.parse().unwrap(), now.saturating_sub(Duration::from_nanos(sent.parse().unwrap())))
    })
}
