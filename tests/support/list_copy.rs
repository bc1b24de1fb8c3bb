//! A client's copy of the list of chatrooms. The client reads the list after a reset and then updates the copy by events only.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{TestUser, chatroom_copy::READY_TIMEOUT, socket::Socket};

const CHATROOM: &str = "fragment C on Chatroom {
    id title hasGeneratedTitle pinnedAt archivedAt isTemporary updatedAt lastMessage { id content status feedback }
}";

/// A client's copy of the list of chatrooms.
pub struct ListCopy {
    user: TestUser,
    socket: Socket,
    pub cursor: String,
    /// The chatrooms by their ids.
    pub chatrooms: HashMap<String, Value>,
}

impl ListCopy {
    /// Subscribes to the list. The first event is a reset, after which the client reads the list.
    pub async fn follow(user: &TestUser) -> Self {
        let socket = subscribe(user, None).await;
        let mut copy = Self { user: user.clone(), socket, cursor: String::new(), chatrooms: HashMap::new() };
        assert_eq!(copy.apply_next().await, "ChatroomListReset");
        copy
    }

    /// Drops the connection, and resumes after the last event on a new connection to `user`'s node.
    pub async fn reconnect(&mut self, user: &TestUser) {
        self.user = user.clone();
        self.socket = subscribe(user, Some(&self.cursor)).await;
    }

    /// Applies events until the copy equals a fresh read.
    pub async fn catch_up(&mut self) {
        let fresh = read(&self.user).await;
        while self.chatrooms != fresh {
            self.apply_next().await;
        }
    }

    /// Applies the next event, and returns its type.
    pub async fn apply_next(&mut self) -> String {
        let message = self.socket.next().await.expect("the socket is open");
        self.apply(message).await
    }

    /// Applies the events that arrive within a few milliseconds.
    pub async fn apply_ready(&mut self) {
        while let Ok(message) = timeout(READY_TIMEOUT, self.socket.next()).await {
            self.apply(message.expect("the socket is open")).await;
        }
    }

    async fn apply(&mut self, mut message: Value) -> String {
        let mut event = message["payload"]["data"]["chatroomListEvents"].take();
        assert!(event.is_object(), "{message}");
        event["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        let mut change = event["change"].take();
        let kind = change["__typename"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "ChatroomListReset" => self.chatrooms = read(&self.user).await,
            "ChatroomDeleted" => {
                self.chatrooms.remove(change["deletedId"].as_str().unwrap());
            }
            _ => {
                let chatroom = change["chatroom"].take();
                self.chatrooms.insert(chatroom["id"].as_str().unwrap().to_owned(), chatroom);
            }
        }
        kind
    }
}

/// All chatrooms of the user by their ids.
async fn read(user: &TestUser) -> HashMap<String, Value> {
    let query = format!(
        "{{ chatrooms(first: 30) {{ nodes {{ ...C }} }}
            archived: chatrooms(first: 30, archived: true) {{ nodes {{ ...C }} }} }} {CHATROOM}"
    );
    let data = user.data(&query, json!({})).await;
    let nodes = ["chatrooms", "archived"].map(|list| data[list]["nodes"].as_array().unwrap().clone());
    nodes
        .into_iter()
        .flatten()
        .map(|chatroom| (chatroom["id"].as_str().unwrap().to_owned(), chatroom))
        .collect()
}

async fn subscribe(user: &TestUser, after: Option<&str>) -> Socket {
    let query = format!(
        "subscription($after: String) {{ chatroomListEvents(after: $after) {{ cursor change {{
            __typename
            ... on ChatroomCreated {{ chatroom {{ ...C }} }}
            ... on ChatroomUpdated {{ chatroom {{ ...C }} }}
            ... on ChatroomDeleted {{ deletedId }}
        }} }} }} {CHATROOM}"
    );
    let mut socket = user.socket().await;
    socket.subscribe("list", &query, &json!({ "after": after })).await;
    socket
}
