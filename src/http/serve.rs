//! Connections: so many at once, none that takes its time to say what it wants, and an end that waits for what is running.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::{Body, HttpBody, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceBuilder;
use tower_http::add_extension::AddExtensionLayer;

use super::{graphql::too_long, peers::Peers, router::LONGEST_BODY};
use crate::{config::ServerSettings, lifecycle::Lifecycle};

/// What the system keeps for a client that does not read, in bytes; by itself it would keep megabytes.
const SEND_BUFFER: usize = 128 * 1024;
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may read nothing of what it is sent.
const READ_WITHIN: Duration = Duration::from_mins(1);
const BODY_WITHIN: Duration = Duration::from_secs(10);
const PINGS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
const STREAMS: u32 = 128;
/// After a fault of accepting, such as too many open files.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A connection's place among those that may be, for as long as anybody holds it.
pub(super) type Place = Arc<Seat>;

pub(super) struct Seat {
    _of_all: OwnedSemaphorePermit,
    _of_peer: Option<OwnedSemaphorePermit>,
}

/// Serves until the process closes its connections and they have ended.
///
/// # Errors
/// None that a connection causes.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    settings: Arc<ServerSettings>,
    life: Lifecycle,
) -> anyhow::Result<()> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PINGS.0)
        .keep_alive_timeout(PINGS.1);
    let places = Arc::new(Semaphore::new(settings.max_connections.get()));
    let peers = Peers::new(settings.max_connections_per_address.get());
    let connections = GracefulShutdown::new();
    let accept = async {
        loop {
            let of_all = places.clone().acquire_owned().await.context("places are given out no more")?;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let of_peer = if settings.speaks_for_many(peer.ip()) {
                None
            } else {
                // Whoever has too many loses the newest.
                let Some(place) = peers.place_of(peer.ip()) else { continue };
                Some(place)
            };
            set_up(&stream);
            let place: Place = Arc::new(Seat { _of_all: of_all, _of_peer: of_peer });
            let asked = Arc::new(AtomicBool::new(false));
            let is_asked = asked.clone();
            let service = ServiceBuilder::new()
                .layer(AddExtensionLayer::new(ConnectInfo(peer)))
                .layer(AddExtensionLayer::new(place.clone()))
                .map_request(move |request: Request<Incoming>| {
                    asked.store(true, Ordering::Relaxed);
                    request
                })
                .service(routes.clone());
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(READ_WITHIN));
            let connection = builder
                .serve_connection_with_upgrades(
                    TokioIo::new(Box::pin(stream)),
                    TowerToHyperService::new(service),
                )
                .into_owned();
            let connection = connections.watch(connection);
            life.tasks.spawn(async move {
                let silent = async {
                    sleep(HEADERS_WITHIN).await;
                    if is_asked.load(Ordering::Relaxed) {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(error, "a connection broke");
                    },
                    () = silent => tracing::debug!("a connection asked for nothing"),
                }
                drop(place);
            });
        }
    };
    match life.closing.run_until_cancelled(accept).await {
        Some(ended) => return ended,
        None => drop(listener),
    }
    connections.shutdown().await;
    Ok(())
}

fn set_up(stream: &TcpStream) {
    let bounded = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
    if let Err(error) = stream.set_nodelay(true).and(bounded) {
        tracing::debug!(%error, "a connection is as the system makes it");
    }
}

/// Reads a request's body before anything is done about it.
pub(super) async fn whole_body(request: axum::extract::Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.size_hint().lower() > LONGEST_BODY as u64 {
        return too_long(LONGEST_BODY);
    }
    let refused = |status, message: String| (status, message + "\n").into_response();
    match timeout(BODY_WITHIN, to_bytes(body, LONGEST_BODY)).await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
            too_long(LONGEST_BODY)
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "The body broke off.".to_owned()),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, format!("A body must come within {BODY_WITHIN:?}.")),
    }
}
