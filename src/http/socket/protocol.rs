//! The rules of both subprotocols, as a state machine without I/O.

use std::{collections::HashSet, error::Error as _};

use async_graphql::{Request, Response};
use serde_json::Value;
use tungstenite::error::CapacityError;

use super::{
    MAX_MESSAGE_BYTES,
    messages::{ClientMessage, InitPayload, Subprotocol},
};
use crate::{
    error::{LimitExceeded, RequestLimit},
    graphql::{ErrorCode, limit_exceeded, rejection},
    http::params,
};

/// The maximum number of concurrent operations of one socket.
pub(super) const MAX_OPERATIONS: usize = 100;

/// The close code and the reason with which the server closes a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    /// At most 123 bytes, by [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455#section-5.5).
    pub(super) reason: String,
}

impl Close {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(123));
        Self { code, reason }
    }

    pub(super) fn invalid_message(reason: impl Into<String>) -> Self {
        Self::new(4400, reason)
    }

    pub(super) fn too_long() -> Self {
        Self::new(1009, format!("A message must be at most {MAX_MESSAGE_BYTES} bytes"))
    }

    /// Whether the socket failed because of a message that is too long.
    pub(super) fn is_too_long(error: &axum::Error) -> bool {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        matches!(cause, Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })))
    }

    /// The token could not be checked. The close code is 1013, because clients reconnect after it, but not after 1011.
    pub(super) fn unavailable() -> Self {
        Self::new(1013, "Try again later")
    }

    pub(super) fn token_expired() -> Self {
        Self::new(4403, "token expired")
    }
}

/// What the connection does in reaction to a message.
pub(super) enum Step {
    /// Authenticate with this payload. If that succeeds, call [`State::acknowledge`]; otherwise close the socket.
    Authenticate(InitPayload),
    /// Send a pong with this payload.
    Pong(Option<Value>),
    Start {
        id: String,
        request: Box<Request>,
    },
    /// Send a response that rejects the operation.
    Reject {
        id: String,
        response: Box<Response>,
    },
    Stop {
        id: String,
    },
    Nothing,
    Close(Close),
}

impl Step {
    fn reject(id: String, response: Response) -> Self {
        Self::Reject { id, response: Box::new(response) }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Opened,
    Initialising,
    Acknowledged,
}

/// The state of a socket.
#[derive(Debug)]
pub(super) struct State {
    subprotocol: Subprotocol,
    phase: Phase,
    /// The ids of the running operations.
    running: HashSet<String>,
}

impl State {
    pub(super) fn new(subprotocol: Subprotocol) -> Self {
        Self { subprotocol, phase: Phase::default(), running: HashSet::new() }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.phase == Phase::Acknowledged
    }

    pub(super) fn acknowledge(&mut self) {
        self.phase = Phase::Acknowledged;
    }

    /// Frees the id of an operation that has ended, so that the client may use it for another one.
    pub(super) fn end_operation(&mut self, id: &str) {
        self.running.remove(id);
    }

    /// Updates the state after a message, and returns the reaction to the message.
    pub(super) fn receive(&mut self, text: &str) -> Step {
        if text.len() > MAX_MESSAGE_BYTES {
            return self.receive_too_long(text);
        }
        let (message, unpaired) = match ClientMessage::parse(self.subprotocol, text) {
            Ok(parsed) => parsed,
            Err(cause) => return Step::Close(Close::invalid_message(format!("Invalid message: {cause}"))),
        };
        match message {
            ClientMessage::ConnectionInit { .. } if self.phase != Phase::Opened => {
                Step::Close(Close::new(4429, "Too many initialisation requests"))
            }
            ClientMessage::ConnectionInit { payload } => {
                self.phase = Phase::Initialising;
                Step::Authenticate(payload.unwrap_or_default())
            }
            ClientMessage::Ping { payload } => Step::Pong(payload),
            ClientMessage::Pong {} => Step::Nothing,
            ClientMessage::Subscribe { id, payload } => {
                if let Some(close) = self.violation_at_start(&id) {
                    return Step::Close(close);
                }
                match params::from_json(Value::Object(payload), unpaired) {
                    // In the legacy subprotocol, the id may be that of a running operation, which the new operation replaces.
                    Ok(_) if !self.running.contains(&id) && self.running.len() >= MAX_OPERATIONS => {
                        let problem = format!("A socket runs at most {MAX_OPERATIONS} operations at once.");
                        Step::reject(id, rejection(ErrorCode::RateLimited, problem))
                    }
                    Ok(request) => {
                        self.running.insert(id.clone());
                        Step::Start { id, request: Box::new(request) }
                    }
                    Err(invalid) => Step::reject(id, invalid.response()),
                }
            }
            ClientMessage::Complete { id } => {
                self.running.remove(&id);
                Step::Stop { id }
            }
            ClientMessage::Terminate => Step::Close(Close::new(1000, "")),
        }
    }

    /// Reacts to a message that is too long. If it starts an operation, only the operation is rejected, under its id; any other
    /// message closes the socket.
    fn receive_too_long(&self, text: &str) -> Step {
        let Some(id) = ClientMessage::id_of_operation(self.subprotocol, text) else {
            return Step::Close(Close::too_long());
        };
        if let Some(close) = self.violation_at_start(&id) {
            return Step::Close(close);
        }
        let (limit, count) = (RequestLimit::MessageBytes, text.len());
        Step::reject(id, limit_exceeded(LimitExceeded { limit, count, max: MAX_MESSAGE_BYTES }))
    }

    /// Returns how to close the socket if starting an operation with this id violates the protocol.
    fn violation_at_start(&self, id: &str) -> Option<Close> {
        if !self.is_acknowledged() {
            return Some(Close::new(4401, "Unauthorized: wait for connection_ack before you subscribe"));
        }
        if id.is_empty() {
            return Some(Close::invalid_message("Invalid message: the id is empty"));
        }
        // In the legacy subprotocol, the newer operation replaces the older one.
        (self.subprotocol == Subprotocol::TransportWs && self.running.contains(id))
            .then(|| Close::new(4409, format!("Subscriber for {id} already exists")))
    }
}

/// Returns the value of a header, such as `authorization`, from the payload of `connection_init`: that of the key with this name
/// or, if there is none, of such a key in the object `headers`. The letter case of keys does not matter.
pub(super) fn header<'a>(payload: &'a InitPayload, name: &str) -> Option<&'a str> {
    let find_key = |object: &'_ InitPayload, name: &str| {
        object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
    };
    if let Some(key) = find_key(payload, name) {
        return payload[&key].as_str();
    }
    let headers = payload[&find_key(payload, "headers")?].as_object()?;
    headers[&find_key(headers, name)?].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"{"type":"connection_init"}"#;
    const START: &str = r#"{"type":"start","id":"1","payload":{"query":"{ me { id } }"}}"#;
    const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"1","payload":{"query":"{ me { id } }"}}"#;

    /// Receives the messages, acknowledging each init. Returns the close code if the last message closes the socket.
    fn close_code(subprotocol: Subprotocol, messages: &[&str]) -> Option<u16> {
        let mut state = State::new(subprotocol);
        let mut last = None;
        for message in messages {
            last = match state.receive(message) {
                Step::Close(close) => Some(close.code),
                Step::Authenticate(_) => {
                    state.acknowledge();
                    None
                }
                _ => None,
            };
        }
        last
    }

    #[test]
    fn each_protocol_violation_has_its_close_code() {
        for (messages, expected) in [
            (vec![INIT, SUBSCRIBE], None),
            (vec!["{"], Some(4400)),
            (vec![r#"{"type":"start"}"#], Some(4400)),
            (vec![r#"{"id":"1"}"#], Some(4400)),
            (vec!["[]"], Some(4400)),
            (vec![INIT, r#"{"type":"subscribe","payload":{"query":"{a}"}}"#], Some(4400)),
            (vec![INIT, r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#], Some(4400)),
            (vec![SUBSCRIBE], Some(4401)),
            (vec![INIT, SUBSCRIBE, SUBSCRIBE], Some(4409)),
            (vec![INIT, SUBSCRIBE, r#"{"type":"complete","id":"1"}"#, SUBSCRIBE], None),
            (vec![INIT, INIT], Some(4429)),
            (vec![r#"{"type":"ping","payload":{"a":1}}"#, r#"{"type":"pong"}"#], None),
            (vec![INIT, r#"{"type":"complete","id":"unknown"}"#], None),
            // An invalid operation is rejected under its id.
            (vec![INIT, r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#], None),
            (vec![INIT, r#"{"type":"subscribe","id":"1","payload":{"query":"\ud83d"}}"#], None),
            (vec![INIT, r#"{"type":"subscribe","id":"1","payload":7}"#], Some(4400)),
            (vec![INIT, r#"{"type":"subscribe","id":"\ud83d","payload":{"query":"{a}"}}"#], Some(4400)),
            (vec![r#"{"type":"ping","payload":{"a":"\ud83d"}}"#], Some(4400)),
        ] {
            assert_eq!(close_code(Subprotocol::TransportWs, &messages), expected, "{messages:?}");
        }
    }

    #[test]
    fn the_legacy_subprotocol_has_its_own_messages_and_codes() {
        for (messages, expected) in [
            (vec![INIT, START], None),
            (vec![INIT, START, START], None),
            (vec![INIT, START, r#"{"type":"stop","id":"1"}"#, START], None),
            (vec![START], Some(4401)),
            (vec![INIT, SUBSCRIBE], Some(4400)),
            (vec![INIT, r#"{"type":"ping"}"#], Some(4400)),
            (vec![INIT, INIT], Some(4429)),
            (vec![INIT, r#"{"type":"connection_terminate"}"#], Some(1000)),
        ] {
            assert_eq!(close_code(Subprotocol::Legacy, &messages), expected, "{messages:?}");
        }
        assert_eq!(close_code(Subprotocol::TransportWs, &[INIT, START]), Some(4400));
    }

    #[test]
    fn a_second_init_before_the_ack_closes_the_socket() {
        let mut state = State::new(Subprotocol::TransportWs);
        assert!(matches!(state.receive(INIT), Step::Authenticate(_)));
        assert!(matches!(state.receive(INIT), Step::Close(Close { code: 4429, .. })));
    }

    #[test]
    fn an_operation_beyond_the_maximum_is_rejected_until_another_one_ends() {
        let mut state = State::new(Subprotocol::TransportWs);
        state.receive(INIT);
        state.acknowledge();
        let subscribe =
            |id: usize| format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{{a}}"}}}}"#);
        for id in 0..MAX_OPERATIONS {
            assert!(matches!(state.receive(&subscribe(id)), Step::Start { .. }));
        }
        assert!(matches!(state.receive(&subscribe(MAX_OPERATIONS)), Step::Reject { .. }));
        state.end_operation("7");
        assert!(matches!(state.receive(&subscribe(MAX_OPERATIONS)), Step::Start { .. }));
    }

    #[test]
    fn the_token_is_found_under_every_name_that_clients_use() {
        let find =
            |json: &str| header(&serde_json::from_str(json).unwrap(), "authorization").map(str::to_owned);
        for json in [
            r#"{"authorization":"Bearer x"}"#,
            r#"{"Authorization":"Bearer x"}"#,
            r#"{"headers":{"Authorization":"Bearer x"}}"#,
            r#"{"headers":{"AUTHORIZATION":"Bearer x"}}"#,
        ] {
            assert_eq!(find(json).as_deref(), Some("Bearer x"), "{json}");
        }
        for json in ["{}", r#"{"authorization":1}"#, r#"{"headers":[]}"#, r#"{"headers":{}}"#] {
            assert_eq!(find(json), None, "{json}");
        }
    }

    #[test]
    fn a_close_reason_is_truncated_to_123_bytes_at_a_character_boundary() {
        assert_eq!(Close::new(4400, "é".repeat(100)).reason.len(), 122);
    }
}
