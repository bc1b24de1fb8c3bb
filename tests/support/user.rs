//! Somebody who uses the API.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use entity::{UserId, user};
use pollux::store::users;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::socket::Socket;

/// The code of a response's first error.
pub fn code_of(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("no error")
}

#[derive(Clone)]
pub struct TestUser {
    pub address: SocketAddr,
    pub token: String,
    pub refresh_token: String,
    pub id: String,
    pub phone_number: String,
    pub http: reqwest::Client,
}

#[derive(Clone)]
pub struct TestRoom {
    pub user: TestUser,
    pub id: String,
}

/// What sendMessage and regenerateReply answer with.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub message: String,
    pub reply: String,
    pub used: i64,
}

impl TestUser {
    pub fn stranger(address: SocketAddr) -> Self {
        // An error says that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self::unknown(address, http)
    }

    fn unknown(address: SocketAddr, http: reqwest::Client) -> Self {
        let (token, refresh_token, id, phone_number) = Default::default();
        Self { address, token, refresh_token, id, phone_number, http }
    }

    pub async fn sign_in(address: SocketAddr, phone_number: &str) -> Self {
        Self::stranger(address).signed_in(phone_number).await
    }

    /// The same, or somebody else, by the same HTTP client.
    pub async fn signed_in(&self, phone_number: &str) -> Self {
        let mut user = Self::unknown(self.address, self.http.clone());
        user.phone_number = phone_number.to_owned();
        let sent = user.data(SEND_OTP, json!({ "phone": phone_number })).await;
        let otp = &sent["sendOtp"]["otp"];
        let signed_in = user.data(VERIFY_OTP, json!({"phone": phone_number, "otp": otp})).await;
        let payload = &signed_in["verifyOtp"];
        user.token = payload["accessToken"].as_str().unwrap().to_owned();
        user.refresh_token = payload["refreshToken"].as_str().unwrap().to_owned();
        user.id = payload["user"]["id"].as_str().unwrap().to_owned();
        user
    }

    /// A whole response.
    pub async fn ask_api(&self, query: &str, variables: Value) -> Value {
        self.post(&json!({"query": query, "variables": variables})).await
    }

    pub async fn post(&self, body: &Value) -> Value {
        let mut request = self.http.post(format!("http://{}/graphql", self.address)).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The data of a response without errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut response = self.ask_api(query, variables).await;
        assert_eq!(response.get("errors"), None, "{query}");
        response["data"].take()
    }

    /// The code of a response's first error.
    pub async fn refusal(&self, query: &str, variables: Value) -> String {
        code_of(&self.ask_api(query, variables).await).to_owned()
    }

    pub async fn room(&self, title: &str) -> TestRoom {
        self.room_with(json!({ "title": title })).await
    }

    pub async fn room_with(&self, input: Value) -> TestRoom {
        let query =
            "mutation($input: CreateChatroomInput!) { createChatroom(input: $input) { chatroom { id } } }";
        let data = self.data(query, json!({ "input": input })).await;
        let id = data["createChatroom"]["chatroom"]["id"].as_str().unwrap().to_owned();
        TestRoom { user: self.clone(), id }
    }

    /// The message with everything that a client may ask of it.
    pub async fn message(&self, id: &str) -> Value {
        let query = "query($id: ID!) { node(id: $id) { ... on Message {
            id role content status cursor model finishReason queuePosition
            failure { code message retryable } tokens { prompt output thoughts total }
            inReplyTo { id } alternatives { id } chatroom { id }
        } } }";
        self.data(query, json!({ "id": id })).await["node"].take()
    }

    pub async fn used(&self) -> i64 {
        self.data("{ me { usage { used } } }", json!({})).await["me"]["usage"]["used"].as_i64().unwrap()
    }

    pub async fn stop(&self, reply: &str) -> Value {
        let query = "mutation($id: ID!) { stopReply(messageId: $id) { message { status content } } }";
        self.data(query, json!({ "id": reply })).await["stopReply"]["message"].take()
    }

    pub async fn regenerate(&self, reply: &str) -> Result<Asked, Value> {
        asked(self.ask_api(REGENERATE, json!({ "id": reply })).await, "regenerateReply")
    }

    pub async fn socket(&self) -> Socket {
        Socket::signed_in(self.address, &self.token).await
    }

    /// Follows a reply on a socket of its own.
    pub async fn follow(&self, reply: &str, after: Option<&str>) -> Follower {
        let mut socket = self.socket().await;
        socket.subscribe("reply", REPLY_STREAM, &json!({"id": reply, "after": after})).await;
        Follower { socket, text: String::new(), cursor: String::new(), restarts: 0 }
    }

    /// Follows a reply to its end.
    pub async fn read(&self, reply: &str) -> Follower {
        let mut follower = self.follow(reply, None).await;
        follower.until_the_end().await;
        follower
    }
}

impl TestRoom {
    pub async fn ask(&self, content: &str) -> Asked {
        self.try_ask(json!({ "content": content })).await.unwrap()
    }

    /// The answer, or the whole response with its errors. The input is completed with the room's id.
    pub async fn try_ask(&self, mut input: Value) -> Result<Asked, Value> {
        input["chatroomId"] = json!(self.id);
        asked(self.user.ask_api(SEND_MESSAGE, json!({ "input": input })).await, "sendMessage")
    }

    /// The room's path: who spoke and what.
    pub async fn path(&self) -> Vec<(String, String)> {
        let query =
            "query($id: ID!) { chatroom(id: $id) { messages(first: 100) { nodes { role content } } } }";
        let data = self.user.data(query, json!({ "id": self.id })).await;
        let nodes = data["chatroom"]["messages"]["nodes"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        nodes.iter().map(|node| (text(&node["role"]), text(&node["content"]))).collect()
    }
}

fn asked(response: Value, field: &str) -> Result<Asked, Value> {
    if response.get("errors").is_some() {
        return Err(response);
    }
    let payload = &response["data"][field];
    let id = |name: &str| payload[name]["id"].as_str().unwrap().to_owned();
    Ok(Asked { message: id("message"), reply: id("reply"), used: payload["usage"]["used"].as_i64().unwrap() })
}

/// A client that follows a reply and keeps what the protocol tells it to keep.
pub struct Follower {
    socket: Socket,
    pub text: String,
    pub cursor: String,
    pub restarts: usize,
}

impl Follower {
    /// Takes the next event and says its type; none after the last.
    pub async fn step(&mut self) -> Option<String> {
        let message = self.socket.next().await.expect("the socket stays open");
        if message["type"] == "complete" {
            return None;
        }
        let event = &message["payload"]["data"]["replyStream"];
        assert!(event.is_object(), "{message}");
        let kind = event["__typename"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "ReplyDelta" => self.text.push_str(event["text"].as_str().unwrap()),
            "ReplyRestarted" => {
                self.text.clear();
                self.restarts += 1;
            }
            _ => {}
        }
        self.cursor = event["cursor"].as_str().unwrap().to_owned();
        Some(kind)
    }

    /// Reads until the text holds this.
    pub async fn until(&mut self, text: &str) {
        while !self.text.contains(text) {
            self.step().await.expect("the reply ended before");
        }
    }

    /// Reads to the end and says how it ended.
    pub async fn until_the_end(&mut self) -> String {
        let mut last = String::new();
        while let Some(kind) = self.step().await {
            last = kind;
        }
        last
    }
}

pub const SEND_OTP: &str = "mutation($phone: PhoneNumber!) {
    sendOtp(input: { phoneNumber: $phone }) { otp phoneNumber expiresAt resendAt }
}";

pub const VERIFY_OTP: &str = "mutation($phone: PhoneNumber!, $otp: String!) {
    verifyOtp(input: { phoneNumber: $phone, otp: $otp }) { accessToken refreshToken user { id phoneNumber } }
}";

pub const SEND_MESSAGE: &str = "mutation($input: SendMessageInput!) {
    sendMessage(input: $input) { message { id } reply { id } usage { used } }
}";

pub const REGENERATE: &str = "mutation($id: ID!) {
    regenerateReply(messageId: $id) { message { id } reply { id } usage { used } }
}";

pub const REPLY_STREAM: &str = "subscription($id: ID!, $after: String) {
    replyStream(messageId: $id, after: $after) {
        __typename
        ... on ReplyDelta { cursor text }
        ... on ReplyRestarted { cursor attempt }
        ... on ReplyCompleted { cursor message { id content status } }
        ... on ReplyFailed { cursor failure { code } }
        ... on ReplyCancelled { cursor message { content } }
    }
}";

/// Somebody who is known by a number, and not signed in.
pub async fn registered(db: &impl ConnectionTrait, phone_number: &str, now: DateTime<Utc>) -> user::Model {
    let new = user::Model {
        id: UserId::generate(),
        phone_number: phone_number.to_owned(),
        email: None,
        full_name: None,
        password_hash: None,
        verified_at: Some(now),
        rooms_version: 0,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    };
    users::find_or_insert(db, new).await.unwrap()
}
