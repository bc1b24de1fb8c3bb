//! The listener: so many connections at once, and an end that waits for what is running.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use super::{
    connection::{Connections, Seat},
    peers::Peers,
};
use crate::{config::ServerSettings, lifecycle::Lifecycle};

/// What the system keeps for a client that does not read, in bytes; by itself it would keep megabytes.
const SEND_BUFFER: usize = 128 * 1024;
/// After a fault of accepting, such as too many open files.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

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
    let connections = Connections::new(routes);
    let permits = Arc::new(Semaphore::new(settings.max_connections.get()));
    let peers = Peers::new(settings.max_connections_per_address.get());
    let open = GracefulShutdown::new();
    let accept = async {
        loop {
            let of_all =
                permits.clone().acquire_owned().await.context("the connection permits are closed")?;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                    continue;
                }
            };
            let of_peer = if settings.may_proxy_clients(peer.ip()) {
                None
            } else {
                // Whoever has too many loses the newest.
                let Some(permit) = peers.place_of(peer.ip()) else { continue };
                Some(permit)
            };
            set_up(&stream);
            let seat = Arc::new(Seat { _of_all: of_all, _of_peer: of_peer });
            let serve = connections.clone().serve(stream, peer, Some(seat), open.watcher());
            life.tasks.spawn(serve);
        }
    };
    match life.closing.run_until_cancelled(accept).await {
        Some(ended) => return ended,
        None => drop(listener),
    }
    open.shutdown().await;
    Ok(())
}

fn set_up(stream: &TcpStream) {
    let bounded = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
    if let Err(error) = stream.set_nodelay(true).and(bounded) {
        tracing::debug!(%error, "failed to set TCP options");
    }
}
