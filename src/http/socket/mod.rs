//! GraphQL over WebSocket.
//!
//! [`messages`] is what is said, in either subprotocol, [`protocol`] what it means, as a pure state machine, and
//! [`connection`] the I/O around it.

mod connection;
mod messages;
mod protocol;

use std::sync::Arc;

use axum::{
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Response,
};

use super::{Api, backlog::Unread, connection::Place};
use crate::domain::auth::Caller;

/// The longest message that is executed, in bytes: the longest text with every character escaped is 375 KiB.
const LONGEST_MESSAGE: usize = 512 * 1024;
/// The longest one that is read, so that its operation can be named when it is refused.
const LONGEST_READ: usize = 1024 * 1024;
/// What each socket has at hand to read into, and collects before it writes, in bytes.
const READ: usize = 1024;
const WRITTEN: usize = 4 * 1024;

/// Accepts a socket and serves it until it closes.
pub(super) fn open(
    api: Arc<Api>,
    upgrade: WebSocketUpgrade,
    caller: Caller,
    place: Option<Place>,
    unread: Arc<Unread>,
) -> Response {
    let upgrade = upgrade
        .protocols(messages::Dialect::NAMES)
        .max_message_size(LONGEST_READ)
        .max_frame_size(LONGEST_READ)
        .read_buffer_size(READ)
        .write_buffer_size(WRITTEN);
    upgrade.on_upgrade(move |socket: WebSocket| {
        let tasks = api.life.tasks.clone();
        tasks.track_future(async move {
            connection::serve(api, socket, caller, unread).await;
            drop(place);
        })
    })
}
