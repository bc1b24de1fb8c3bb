//! A client's copy of a chatroom. The client reads the chatroom once and then updates the copy by events only.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{TestUser, code_of, socket::Socket};

/// How long to wait for an event that may not come.
pub const READY_TIMEOUT: Duration = Duration::from_millis(3);

const MESSAGE: &str = "fragment M on Message {
    id role content status cursor isCurrent feedback inReplyTo { id }
}";

/// A client's copy of one chatroom.
pub struct ChatroomCopy {
    user: TestUser,
    id: String,
    socket: Socket,
    pub cursor: String,
    /// `None` after the chatroom was deleted.
    pub chatroom: Option<Value>,
    pub messages: HashMap<String, Value>,
}

impl ChatroomCopy {
    /// Reads the chatroom, and subscribes to all events that come after what was read.
    pub async fn read(user: &TestUser, id: &str) -> Self {
        let (mut chatroom, messages) = read(user, id).await.expect("the chatroom exists");
        let cursor = chatroom["eventCursor"].take().as_str().unwrap().to_owned();
        let messages = messages.into_iter().map(|message| (id_of(&message), message)).collect();
        let socket = subscribe(user, id, &cursor).await;
        let chatroom = Some(own_fields(chatroom));
        Self { user: user.clone(), id: id.to_owned(), socket, cursor, chatroom, messages }
    }

    /// Drops the connection, and resumes after the last event on a new connection to `user`'s node.
    pub async fn reconnect(&mut self, user: &TestUser) {
        self.socket = subscribe(user, &self.id, &self.cursor).await;
    }

    /// Applies events until the copy equals a fresh read.
    pub async fn catch_up(&mut self) {
        let fresh = read(&self.user, &self.id).await;
        let fresh = fresh.map(|(chatroom, messages)| (own_fields(chatroom), messages));
        while !self.equals(fresh.as_ref()) {
            let Ok(message) = timeout(Duration::from_secs(15), self.socket.next()).await else {
                panic!(
                    "no event after {} for the chatroom {}; the copy:\n{:#?}\n{:#?}\na fresh read:\n{fresh:#?}",
                    self.cursor, self.id, self.chatroom, self.messages
                );
            };
            self.apply(message.expect("the socket is open"));
        }
    }

    fn equals(&self, fresh: Option<&(Value, Vec<Value>)>) -> bool {
        match (&self.chatroom, fresh) {
            (None, None) => true,
            (Some(chatroom), Some((fresh, messages))) => chatroom == fresh && self.branch() == *messages,
            _ => false,
        }
    }

    /// The messages of the active branch, in their order.
    pub fn branch(&self) -> Vec<Value> {
        let mut parent = Value::Null;
        let mut branch = Vec::new();
        let follows = |message: &&Value, parent: &Value| {
            message["isCurrent"] == true && message["inReplyTo"]["id"] == *parent
        };
        while let Some(next) = self.messages.values().find(|message| follows(message, &parent)) {
            parent = next["id"].clone();
            branch.push(without_cursor(next.clone()));
        }
        branch
    }

    /// The texts of the messages of the active branch.
    pub fn contents(&self) -> Vec<String> {
        self.branch().iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    }

    /// Applies events until the messages of the active branch have these texts.
    pub async fn apply_until(&mut self, contents: &[&str]) {
        while self.contents() != contents {
            self.apply_next().await;
        }
    }

    /// Applies the next event, and returns its type.
    pub async fn apply_next(&mut self) -> String {
        let message = self.socket.next().await.expect("the socket is open");
        self.apply(message)
    }

    /// Applies the events that arrive within a few milliseconds.
    pub async fn apply_ready(&mut self) {
        while let Ok(message) = timeout(READY_TIMEOUT, self.socket.next()).await {
            let message = message.expect("the socket is open");
            if message["type"] != "complete" {
                self.apply(message);
            }
        }
    }

    fn apply(&mut self, mut message: Value) -> String {
        if code_of(&message["payload"]) == "NOT_FOUND" {
            // The chatroom was deleted before this connection subscribed to it.
            self.chatroom = None;
            self.messages.clear();
            return "ChatroomDeleted".to_owned();
        }
        let mut event = message["payload"]["data"]["chatroomEvents"].take();
        assert!(event.is_object(), "{message} {:#?}", self.messages);
        event["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        let mut change = event["change"].take();
        let kind = change["__typename"].as_str().unwrap().to_owned();
        let reply_id = |change: &Value| change["message"]["id"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "ChatroomUpdated" => self.chatroom = Some(own_fields(change["chatroom"].take())),
            "ChatroomDeleted" => {
                self.chatroom = None;
                self.messages.clear();
            }
            "ReplyDelta" => {
                let message = self.messages.get_mut(&reply_id(&change)).expect("the copy contains the reply");
                let text = message["content"].as_str().unwrap().to_owned() + change["text"].as_str().unwrap();
                message["content"] = json!(text);
            }
            "ReplyRestarted" => {
                self.messages.get_mut(&reply_id(&change)).expect("the copy contains the reply")["content"] =
                    json!("");
            }
            _ => {
                let message = change["message"].take();
                self.messages.insert(id_of(&message), message);
            }
        }
        kind
    }
}

fn id_of(message: &Value) -> String {
    message["id"].as_str().unwrap().to_owned()
}

fn without_cursor(mut message: Value) -> Value {
    message.as_object_mut().unwrap().remove("cursor");
    message
}

/// The fields that `ChatroomUpdated` also contains: those without the messages and the cursor.
fn own_fields(mut chatroom: Value) -> Value {
    let fields = chatroom.as_object_mut().unwrap();
    fields.remove("eventCursor");
    fields.remove("messages");
    chatroom
}

/// The chatroom and the messages of its active branch. `None` if it was deleted.
async fn read(user: &TestUser, id: &str) -> Option<(Value, Vec<Value>)> {
    let query = format!(
        "query($id: ID!) {{ chatroom(id: $id) {{
            title systemInstruction model eventCursor messages(first: 100) {{ nodes {{ ...M }} }}
        }} }} {MESSAGE}"
    );
    let chatroom = &user.data(&query, json!({ "id": id })).await["chatroom"];
    let messages = chatroom["messages"]["nodes"].as_array()?.iter().cloned().map(without_cursor).collect();
    Some((chatroom.clone(), messages))
}

async fn subscribe(user: &TestUser, id: &str, after: &str) -> Socket {
    let query = format!(
        "subscription($id: ID!, $after: String) {{ chatroomEvents(chatroomId: $id, after: $after) {{
            cursor change {{
                __typename
                ... on MessageAdded {{ message {{ ...M }} }}
                ... on MessageChanged {{ message {{ ...M }} }}
                ... on ReplyDelta {{ text message {{ id }} }}
                ... on ReplyRestarted {{ message {{ id }} }}
                ... on ReplyCompleted {{ message {{ ...M }} }}
                ... on ReplyFailed {{ message {{ ...M }} }}
                ... on ReplyCancelled {{ message {{ ...M }} }}
                ... on ChatroomUpdated {{ chatroom {{ title systemInstruction model }} }}
                ... on ChatroomDeleted {{ deletedId }}
            }}
        }} }} {MESSAGE}"
    );
    let mut socket = user.socket().await;
    socket.subscribe("chatroom", &query, &json!({"id": id, "after": after})).await;
    socket
}
