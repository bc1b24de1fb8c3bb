//! GraphQL over WebSocket.
//!
//! [`messages`] parses and serializes the messages of both subprotocols. [`protocol`] is a state machine without I/O that decides
//! how to react to a message. [`connection`] does the I/O.

mod connection;
mod messages;
mod protocol;

use std::sync::Arc;

use axum::{
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Response,
};

use super::{api::Api, backlog::UnreadBytes, peers::ConnectionPermit};
use crate::domain::auth::Caller;

/// The maximum size of a WebSocket message, in bytes. The longest chat message that a user may send takes 375 KiB if every
/// character is escaped.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// The maximum size of a WebSocket message that is received, in bytes. If a message is longer than [`MAX_MESSAGE_BYTES`] but not
/// than this, the error carries the id of its operation; a longer one closes the socket.
const MAX_RECEIVED_BYTES: usize = 1024 * 1024;
/// The sizes of the read buffer and of the write buffer of a socket, in bytes.
const READ_BUFFER_BYTES: usize = 1024;
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Accepts a socket and serves it until it closes.
pub(super) fn open(
    api: Arc<Api>,
    upgrade: WebSocketUpgrade,
    caller: Caller,
    permit: Option<Arc<ConnectionPermit>>,
    unread: Arc<UnreadBytes>,
) -> Response {
    let upgrade = upgrade
        .protocols(messages::Subprotocol::NAMES)
        .max_message_size(MAX_RECEIVED_BYTES)
        .max_frame_size(MAX_RECEIVED_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    upgrade.on_upgrade(move |socket: WebSocket| {
        let tasks = api.life.tasks.clone();
        let gauge_guard = api.metrics.websocket_opened();
        tasks.track_future(connection::serve(api, socket, caller, unread, (permit, gauge_guard)))
    })
}
