//! What is said on a socket, in both subprotocols.
//!
//! | here | [graphql-transport-ws] | [graphql-ws], of subscriptions-transport-ws |
//! |---|---|---|
//! | Init, Ack | `connection_init`, `connection_ack` | the same |
//! | Subscribe, Complete | `subscribe`, `complete` | `start`, `stop` |
//! | Next, Error, Complete | `next`, `error`, `complete` | `data`, `error`, `complete` |
//! | Terminate | | `connection_terminate` |
//! | Refused | | `connection_error` |
//! | Alive | | `ka` |
//!
//! [graphql-transport-ws]: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
//! [graphql-ws]: https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md

use async_graphql::{Request, Response, ServerError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graphql::{Wire, is_refused};

/// A subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Transport,
    /// Of clients that are no longer maintained.
    Old,
}

impl Dialect {
    /// Those that are spoken, the better one first.
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

/// What a client says.
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
        payload: Box<Request>,
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
    Start { id: String, payload: Box<Request> },
    Stop { id: String },
    ConnectionTerminate {},
}

impl ClientMessage {
    pub(super) fn read(dialect: Dialect, text: &str) -> Result<Self, serde_json::Error> {
        if dialect == Dialect::Transport {
            return serde_json::from_str(text);
        }
        Ok(match serde_json::from_str(text)? {
            OldClientMessage::ConnectionInit { payload } => Self::ConnectionInit { payload },
            OldClientMessage::Start { id, payload } => Self::Subscribe { id, payload },
            OldClientMessage::Stop { id } => Self::Complete { id },
            OldClientMessage::ConnectionTerminate {} => Self::Terminate,
        })
    }
}

/// What the server says.
pub(super) enum ServerMessage<'a> {
    Ack,
    Pong(Option<Value>),
    /// A response; one to an operation that failed before it was executed ends it.
    Response {
        id: &'a str,
        response: &'a Response,
    },
    Complete {
        id: &'a str,
    },
    /// Why the server will not talk to this client.
    Refused(&'a str),
    Alive,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    ConnectionAck,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: &'a Option<Value>,
    },
    Next {
        id: &'a str,
        payload: Wire<'a>,
    },
    Data {
        id: &'a str,
        payload: Wire<'a>,
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
    /// None: this subprotocol has no word for it.
    pub(super) fn write(&self, dialect: Dialect) -> Option<String> {
        let old = dialect == Dialect::Old;
        let said = match self {
            Self::Ack => Said::ConnectionAck,
            Self::Pong(payload) => Said::Pong { payload },
            Self::Response { id, response } if is_refused(response) => {
                let first = response.errors.first().filter(|_| old);
                let payload = first.map_or(Errors::All(&response.errors), Errors::First);
                Said::Error { id, payload }
            }
            Self::Response { id, response } if old => Said::Data { id, payload: Wire(response) },
            Self::Response { id, response } => Said::Next { id, payload: Wire(response) },
            Self::Complete { id } => Said::Complete { id },
            Self::Refused(message) if old => Said::ConnectionError { payload: Reason { message } },
            Self::Alive if old => Said::Ka,
            Self::Refused(_) | Self::Alive => return None,
        };
        // Only a map with keys that are no strings cannot be written, and there is none.
        serde_json::to_string(&said).ok()
    }
}
