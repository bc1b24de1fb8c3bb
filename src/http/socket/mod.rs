//! GraphQL over WebSocket, by the
//! [graphql-transport-ws protocol](https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md).
//!
//! [`protocol`] is the protocol as a pure state machine, [`connection`] the I/O around it.

mod connection;
mod protocol;

use axum::{
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Response,
};

use super::Api;
use crate::domain::auth::Caller;

/// The longest message that is read, in bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Accepts a socket and serves it until it closes.
pub(super) fn open(api: Api, upgrade: WebSocketUpgrade, caller: Caller) -> Response {
    let upgrade =
        upgrade.protocols([protocol::NAME]).max_message_size(LONGEST_MESSAGE).max_frame_size(LONGEST_MESSAGE);
    upgrade.on_upgrade(move |socket: WebSocket| {
        let tasks = api.life.tasks.clone();
        tasks.track_future(connection::serve(api, socket, caller))
    })
}
