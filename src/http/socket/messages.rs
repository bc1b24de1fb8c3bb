//! The messages of a socket, in both subprotocols.
//!
//! | in this module | [graphql-transport-ws] | [graphql-ws], of subscriptions-transport-ws |
//! |---|---|---|
//! | ConnectionInit, Ack | `connection_init`, `connection_ack` | the same |
//! | Ping, Pong | `ping`, `pong` | |
//! | Subscribe, Complete (of the client) | `subscribe`, `complete` | `start`, `stop` |
//! | Response, Complete (of the server) | `next` or `error`, `complete` | `data` or `error`, `complete` |
//! | Terminate | | `connection_terminate` |
//! | Rejected | | `connection_error` |
//! | Alive | | `ka` |
//!
//! [graphql-transport-ws]: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
//! [graphql-ws]: https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md

use async_graphql::{Response, ServerError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    graphql::{SerializedResponse, append_json, is_rejected},
    http::json::{self, Json, UnpairedSurrogates},
};

/// A subprotocol of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subprotocol {
    /// `graphql-transport-ws`.
    TransportWs,
    /// `graphql-ws`, used only by clients that are no longer maintained.
    Legacy,
}

impl Subprotocol {
    /// The supported subprotocols, the preferred one first.
    pub(super) const NAMES: [&str; 2] = ["graphql-transport-ws", "graphql-ws"];

    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"graphql-transport-ws" => Some(Self::TransportWs),
            b"graphql-ws" => Some(Self::Legacy),
            _ => None,
        }
    }
}

/// The payload of `connection_init`.
pub(super) type InitPayload = Map<String, Value>;

/// A message of a client. Its form is that of `graphql-transport-ws`; messages of the legacy subprotocol are converted to it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        payload: Option<InitPayload>,
    },
    Ping {
        payload: Option<Value>,
    },
    Pong {},
    Subscribe {
        id: String,
        /// The parameters of the operation, such as `query` and `variables`.
        payload: Map<String, Value>,
    },
    Complete {
        id: String,
    },
    #[serde(skip)]
    Terminate,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LegacyClientMessage {
    ConnectionInit { payload: Option<InitPayload> },
    Start { id: String, payload: Map<String, Value> },
    Stop { id: String },
    ConnectionTerminate {},
}

/// The only fields that are parsed if a message is too long.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl ClientMessage {
    /// Parses a message. Also returns the unpaired surrogates in the parameters of its operation, for which the caller
    /// rejects the operation.
    ///
    /// # Errors
    /// The text is not a message of the subprotocol, or contains an unpaired surrogate elsewhere.
    pub(super) fn parse(
        subprotocol: Subprotocol,
        text: &str,
    ) -> Result<(Self, UnpairedSurrogates), serde_json::Error> {
        let Json { value, unpaired } = json::parse(text.as_bytes())?;
        let invalid_path = unpaired.path_in(&value);
        let message = if subprotocol == Subprotocol::TransportWs {
            serde_json::from_value(value)?
        } else {
            match serde_json::from_value(value)? {
                LegacyClientMessage::ConnectionInit { payload } => Self::ConnectionInit { payload },
                LegacyClientMessage::Start { id, payload } => Self::Subscribe { id, payload },
                LegacyClientMessage::Stop { id } => Self::Complete { id },
                LegacyClientMessage::ConnectionTerminate {} => Self::Terminate,
            }
        };
        match invalid_path {
            // Invalid parameters of an operation are no error here: they reject only the operation and do not close the socket.
            Some(path) if !(path.starts_with("payload.") && matches!(message, Self::Subscribe { .. })) => {
                Err(serde::de::Error::custom(format!("{path} is not valid Unicode")))
            }
            _ => Ok((message, unpaired)),
        }
    }

    /// Returns the id of the operation in a message that is too long, if the message starts an operation.
    pub(super) fn id_of_operation(subprotocol: Subprotocol, text: &str) -> Option<String> {
        let Envelope { kind, id } = serde_json::from_str(text).ok()?;
        let start_kind = if subprotocol == Subprotocol::TransportWs { "subscribe" } else { "start" };
        (kind == start_kind).then_some(id)
    }
}

/// A message of the server.
pub(super) enum ServerMessage<'a> {
    Ack,
    Pong(Option<Value>),
    /// A response to an operation. It ends the operation if the operation was rejected before execution.
    Response {
        id: &'a str,
        response: &'a Response,
    },
    Complete {
        id: &'a str,
    },
    /// Authentication failed for this reason.
    Rejected(&'a str),
    /// Keeps the connection alive.
    Alive,
}

/// A message of the server without a response, as it is serialized.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TypedMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: &'a Option<Value>,
    },
    Error {
        id: &'a str,
        payload: Errors<'a>,
    },
    Complete {
        id: &'a str,
    },
    ConnectionError {
        payload: Reason<'a>,
    },
    Ka,
}

/// The payload of `error`: all errors in `graphql-transport-ws`, the first one in the legacy subprotocol.
#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'a> {
    All(&'a [ServerError]),
    First(&'a ServerError),
}

#[derive(Serialize)]
struct Reason<'a> {
    message: &'a str,
}

impl ServerMessage<'_> {
    /// Serializes the message. Returns none if the subprotocol has no such message.
    pub(super) fn to_text(&self, subprotocol: Subprotocol) -> Option<String> {
        let is_legacy = subprotocol == Subprotocol::Legacy;
        let typed = match self {
            Self::Ack => TypedMessage::ConnectionAck,
            Self::Pong(payload) => TypedMessage::Pong { payload },
            Self::Response { id, response } if is_rejected(response) => {
                let first = response.errors.first().filter(|_| is_legacy);
                let payload = first.map_or(Errors::All(&response.errors), Errors::First);
                TypedMessage::Error { id, payload }
            }
            Self::Response { id, response } => {
                let start = if is_legacy { r#"{"type":"data","id":"# } else { r#"{"type":"next","id":"# };
                let head = append_json(start.to_owned(), id, id.len()) + ",\"payload\":";
                return Some(SerializedResponse(response).append_to(head) + "}");
            }
            Self::Complete { id } => TypedMessage::Complete { id },
            Self::Rejected(message) if is_legacy => {
                TypedMessage::ConnectionError { payload: Reason { message } }
            }
            Self::Alive if is_legacy => TypedMessage::Ka,
            Self::Rejected(_) | Self::Alive => return None,
        };
        Some(append_json(String::new(), &typed, 0))
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Response, value};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_response_is_sent_under_its_id_whatever_the_id_contains() {
        let response = Response::new(value!({ "a": 1 }));
        let message = ServerMessage::Response { id: "\"\\\n", response: &response };
        for (subprotocol, kind) in [(Subprotocol::TransportWs, "next"), (Subprotocol::Legacy, "data")] {
            let text = message.to_text(subprotocol).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed, json!({ "type": kind, "id": "\"\\\n", "payload": { "data": { "a": 1 } } }));
        }
    }
}
