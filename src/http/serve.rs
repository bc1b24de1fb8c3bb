//! The listener: limits the open connections, and on shutdown waits for running requests.

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
    connection::Connections,
    peers::{ConnectionPermit, Peers},
};
use crate::{config::ServerSettings, lifecycle::Lifecycle, telemetry::metrics::TransportMetrics};

/// The size of the operating system's send buffer for a connection, in bytes. The default can be megabytes.
const SEND_BUFFER: usize = 128 * 1024;
/// The pause after a failed accept, which can be due to too many open files.
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Accepts connections until shutdown, then waits until the open connections have ended.
///
/// # Errors
/// The connection permits are closed. A failed connection is not an error.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    settings: Arc<ServerSettings>,
    life: Lifecycle,
    metrics: TransportMetrics,
) -> anyhow::Result<()> {
    let connections = Connections::new(routes);
    let permits = Arc::new(Semaphore::new(settings.max_connections.get()));
    let peers = Peers::new(settings.max_connections_per_address.get());
    let open = GracefulShutdown::new();
    let accept = async {
        loop {
            let of_server =
                permits.clone().acquire_owned().await.context("the connection permits are closed")?;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_RETRY_AFTER).await;
                    continue;
                }
            };
            let of_network = if settings.may_proxy_clients(peer.ip()) {
                None
            } else {
                // A connection above the limit is closed at once.
                let Some(permit) = peers.try_acquire(peer.ip()) else { continue };
                Some(permit)
            };
            set_tcp_options(&stream);
            let permit = Arc::new(ConnectionPermit { _of_server: of_server, _of_network: of_network });
            let serve = connections.clone().serve(stream, peer, Some(permit), open.watcher());
            let counted = metrics.connection_opened();
            life.tasks.spawn(async move {
                serve.await;
                drop(counted);
            });
        }
    };
    match life.closing.run_until_cancelled(accept).await {
        Some(ended) => return ended,
        None => drop(listener),
    }
    open.shutdown().await;
    Ok(())
}

fn set_tcp_options(stream: &TcpStream) {
    let bounded = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
    if let Err(error) = stream.set_nodelay(true).and(bounded) {
        tracing::debug!(%error, "failed to set TCP options");
    }
}
