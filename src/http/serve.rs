//! The listener: limits the number of open connections, and on shutdown waits until they have ended.

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

/// The size of the operating system's send buffer for a connection, in bytes. By default, it may grow to megabytes.
const SEND_BUFFER: usize = 128 * 1024;
/// The pause after accepting a connection failed, for example because the process has too many open files.
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Accepts connections until shutdown, then waits until the open connections have ended.
///
/// # Errors
/// The semaphore of connection permits was closed, which never happens. A connection that fails is not an error.
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
    let graceful = GracefulShutdown::new();
    let accept = async {
        loop {
            let server_permit =
                permits.clone().acquire_owned().await.context("the connection permits are closed")?;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    sleep(ACCEPT_RETRY_AFTER).await;
                    continue;
                }
            };
            let network_permit = if settings.is_exempt_from_per_address_limit(peer.ip()) {
                None
            } else {
                // Above the limit, the connection is closed at once, because `stream` is dropped.
                let Some(permit) = peers.try_acquire(peer.ip()) else { continue };
                Some(permit)
            };
            set_tcp_options(&stream);
            let permit =
                Arc::new(ConnectionPermit { _server_permit: server_permit, _network_permit: network_permit });
            let serve = connections.clone().serve(stream, peer, Some(permit), graceful.watcher());
            let gauge_guard = metrics.connection_opened();
            life.tasks.spawn(async move {
                serve.await;
                drop(gauge_guard);
            });
        }
    };
    match life.closing.run_until_cancelled(accept).await {
        Some(result) => return result,
        None => drop(listener),
    }
    graceful.shutdown().await;
    Ok(())
}

fn set_tcp_options(stream: &TcpStream) {
    let buffer_result = SockRef::from(stream).set_send_buffer_size(SEND_BUFFER);
    if let Err(error) = stream.set_nodelay(true).and(buffer_result) {
        tracing::debug!(%error, "failed to set TCP options");
    }
}
