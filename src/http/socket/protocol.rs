//! The rules of the protocol as a state machine without I/O.

use std::collections::HashSet;

use async_graphql::{Request, Response};
use serde_json::Value;

use super::{
    MAX_MESSAGE_BYTES,
    messages::{ClientMessage, Dialect, InitPayload},
};
use crate::{
    error::{LimitExceeded, RequestLimit},
    graphql::{ErrorCode, limit_exceeded, rejection},
    http::params,
};

/// The maximum number of concurrent operations of one socket.
pub(super) const MAX_OPERATIONS: usize = 100;

/// Why the server closes a socket.
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

    pub(super) fn token_expired() -> Self {
        Self::new(4403, "token expired")
    }
}

/// The reaction to a message.
pub(super) enum Step {
    /// Authenticate, then acknowledge by [`State::acknowledge`] or close.
    Authenticate(InitPayload),
    Pong(Option<Value>),
    Start {
        id: String,
        request: Box<Request>,
    },
    /// Reject an operation.
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
    dialect: Dialect,
    phase: Phase,
    running: HashSet<String>,
}

impl State {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, phase: Phase::default(), running: HashSet::new() }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.phase == Phase::Acknowledged
    }

    pub(super) fn acknowledge(&mut self) {
        self.phase = Phase::Acknowledged;
    }

    /// Frees the id of an operation that has ended.
    pub(super) fn ended(&mut self, id: &str) {
        self.running.remove(id);
    }

    /// Updates the state after a message, and returns the reaction to the message.
    pub(super) fn receive(&mut self, text: &str) -> Step {
        if text.len() > MAX_MESSAGE_BYTES {
            return self.receive_too_long(text);
        }
        let (message, unpaired) = match ClientMessage::parse(self.dialect, text) {
            Ok(read) => read,
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
                    Ok(_) if !self.running.contains(&id) && self.running.len() >= MAX_OPERATIONS => {
                        let problem = format!("A socket runs at most {MAX_OPERATIONS} operations at once.");
                        Step::reject(id, rejection(ErrorCode::RateLimited, problem))
                    }
                    Ok(request) => {
                        self.running.insert(id.clone());
                        Step::Start { id, request: Box::new(request) }
                    }
                    Err(bad) => Step::reject(id, bad.response()),
                }
            }
            ClientMessage::Complete { id } => {
                self.running.remove(&id);
                Step::Stop { id }
            }
            ClientMessage::Terminate => Step::Close(Close::new(1000, "")),
        }
    }

    /// Rejects a too long operation under its id. A too long message of another type closes the socket.
    fn receive_too_long(&self, text: &str) -> Step {
        let Some(id) = ClientMessage::id_of_operation(self.dialect, text) else {
            return Step::Close(Close::too_long());
        };
        if let Some(close) = self.violation_at_start(&id) {
            return Step::Close(close);
        }
        let (limit, count) = (RequestLimit::MessageBytes, text.len());
        Step::reject(id, limit_exceeded(LimitExceeded { limit, count, max: MAX_MESSAGE_BYTES }))
    }

    /// The violation of the protocol if an operation cannot start under this id.
    fn violation_at_start(&self, id: &str) -> Option<Close> {
        if !self.is_acknowledged() {
            return Some(Close::new(4401, "Unauthorized: wait for connection_ack before you subscribe"));
        }
        if id.is_empty() {
            return Some(Close::invalid_message("Invalid message: the id is empty"));
        }
        // In the legacy subprotocol, the newer operation replaces the older one.
        (self.dialect == Dialect::Transport && self.running.contains(id))
            .then(|| Close::new(4409, format!("Subscriber for {id} already exists")))
    }
}

/// The value of a header, such as `authorization`, in the payload of `connection_init`: that of the key of this name or, without it,
/// of the same key within `headers`. The keys match in any letter case.
pub(super) fn header<'a>(payload: &'a InitPayload, name: &str) -> Option<&'a str> {
    let named = |object: &'_ InitPayload, name: &str| {
        object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
    };
    if let Some(key) = named(payload, name) {
        return payload[&key].as_str();
    }
    let headers = payload[&named(payload, "headers")?].as_object()?;
    headers[&named(headers, name)?].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"{"type":"connection_init"}"#;
    const START: &str = r#"{"type":"start","id":"1","payload":{"query":"{ me { id } }"}}"#;
    const SUBSCRIBE: &str = r#"{"type":"subscribe","id":"1","payload":{"query":"{ me { id } }"}}"#;

    /// The close code that the last of these messages causes, if any, with each init acknowledged.
    fn code(dialect: Dialect, messages: &[&str]) -> Option<u16> {
        let mut state = State::new(dialect);
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
            assert_eq!(code(Dialect::Transport, &messages), expected, "{messages:?}");
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
            assert_eq!(code(Dialect::Old, &messages), expected, "{messages:?}");
        }
        assert_eq!(code(Dialect::Transport, &[INIT, START]), Some(4400));
    }

    #[test]
    fn a_second_init_before_the_ack_closes_the_socket() {
        let mut state = State::new(Dialect::Transport);
        assert!(matches!(state.receive(INIT), Step::Authenticate(_)));
        assert!(matches!(state.receive(INIT), Step::Close(Close { code: 4429, .. })));
    }

    #[test]
    fn concurrent_operations_are_limited() {
        let mut state = State::new(Dialect::Transport);
        state.receive(INIT);
        state.acknowledge();
        let subscribe =
            |id: usize| format!(r#"{{"type":"subscribe","id":"{id}","payload":{{"query":"{{a}}"}}}}"#);
        for id in 0..MAX_OPERATIONS {
            assert!(matches!(state.receive(&subscribe(id)), Step::Start { .. }));
        }
        assert!(matches!(state.receive(&subscribe(MAX_OPERATIONS)), Step::Reject { .. }));
        state.ended("7");
        assert!(matches!(state.receive(&subscribe(MAX_OPERATIONS)), Step::Start { .. }));
    }

    #[test]
    fn the_token_is_accepted_under_every_name_that_clients_use() {
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
    fn a_close_reason_is_truncated_to_the_length_of_a_frame() {
        assert_eq!(Close::new(4400, "é".repeat(100)).reason.len(), 122);
    }
}
