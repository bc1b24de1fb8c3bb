//! The messages of a socket, in both subprotocols.
//!
//! | here | [graphql-transport-ws] | [graphql-ws], of subscriptions-transport-ws |
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

/// A subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Transport,
    /// The subprotocol of clients that are no longer maintained.
    Old,
}

impl Dialect {
    /// The supported subprotocols, the preferred one first.
    pub(super) const NAMES: [&str; 2] = ["graphql-transport-ws", "graphql-ws"];

    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"graphql-transport-ws" => Some(Self::Transport),
            b"graphql-ws" => Some(Self::Old),
            _ => None,
        }
    }
}

/// The payload of `connection_init`.
pub(super) type InitPayload = Map<String, Value>;

/// A message of a client.
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
        /// An operation's parameters.
        payload: InitPayload,
    },
    Complete {
        id: String,
    },
    #[serde(skip)]
    Terminate,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OldClientMessage {
    ConnectionInit { payload: Option<InitPayload> },
    Start { id: String, payload: InitPayload },
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
    /// Parses a message. Also returns the unpaired surrogates in the parameters of its operation.
    pub(super) fn parse(
        dialect: Dialect,
        text: &str,
    ) -> Result<(Self, UnpairedSurrogates), serde_json::Error> {
        let Json { value, unpaired } = json::parse(text.as_bytes())?;
        let invalid = unpaired.path_in(&value);
        let message = if dialect == Dialect::Transport {
            serde_json::from_value(value)?
        } else {
            match serde_json::from_value(value)? {
                OldClientMessage::ConnectionInit { payload } => Self::ConnectionInit { payload },
                OldClientMessage::Start { id, payload } => Self::Subscribe { id, payload },
                OldClientMessage::Stop { id } => Self::Complete { id },
                OldClientMessage::ConnectionTerminate {} => Self::Terminate,
            }
        };
        match invalid {
            // An invalid operation is rejected under its id, without closing the socket.
            Some(path) if !(path.starts_with("payload.") && matches!(message, Self::Subscribe { .. })) => {
                Err(serde::de::Error::custom(format!("{path} is not valid Unicode")))
            }
            _ => Ok((message, unpaired)),
        }
    }

    /// The id in a message that is too long; none unless the message starts an operation.
    pub(super) fn id_of_operation(dialect: Dialect, text: &str) -> Option<String> {
        let Envelope { kind, id } = serde_json::from_str(text).ok()?;
        let starts = if dialect == Dialect::Transport { "subscribe" } else { "start" };
        (kind == starts).then_some(id)
    }
}

/// A message of the server.
pub(super) enum ServerMessage<'a> {
    Ack,
    Pong(Option<Value>),
    /// A response. It ends the operation if the operation was rejected before execution.
    Response {
        id: &'a str,
        response: &'a Response,
    },
    Complete {
        id: &'a str,
    },
    /// The reason for which authentication failed.
    Rejected(&'a str),
    Alive,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TypedMessage<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: &'a Option<Value>,
    },
    Next {
        id: &'a str,
        payload: SerializedResponse<'a>,
    },
    Data {
        id: &'a str,
        payload: SerializedResponse<'a>,
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
    pub(super) fn write(&self, dialect: Dialect) -> Option<String> {
        let old = dialect == Dialect::Old;
        let typed = match self {
            Self::Ack => TypedMessage::ConnectionAck,
            Self::Pong(payload) => TypedMessage::Pong { payload },
            Self::Response { id, response } if is_rejected(response) => {
                let first = response.errors.first().filter(|_| old);
                let payload = first.map_or(Errors::All(&response.errors), Errors::First);
                TypedMessage::Error { id, payload }
            }
            Self::Response { id, response } if old => {
                TypedMessage::Data { id, payload: SerializedResponse(response) }
            }
            Self::Response { id, response } => {
                TypedMessage::Next { id, payload: SerializedResponse(response) }
            }
            Self::Complete { id } => TypedMessage::Complete { id },
            Self::Rejected(message) if old => TypedMessage::ConnectionError { payload: Reason { message } },
            Self::Alive if old => TypedMessage::Ka,
            Self::Rejected(_) | Self::Alive => return None,
        };
        let payload_len = match self {
            Self::Response { response, .. } => SerializedResponse(response).json_len(),
            _ => 0,
        };
        Some(append_json(String::new(), &typed, payload_len))
    }
}
