//! A user of the API, the user's chatrooms, and a subscriber of a reply.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use entity::{UserId, user};
use pollux::store::users;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::socket::Socket;

/// The code of the first error of a response, or `no error`.
pub fn code_of(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("no error")
}

/// A client of the API, signed in as a user. It is anonymous if the token is empty.
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
pub struct TestChatroom {
    pub user: TestUser,
    pub id: String,
}

/// The result of `sendMessage`, `editMessage` and `regenerateReply`.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    /// The id of the message.
    pub message: String,
    /// The id of the reply.
    pub reply: String,
    /// The number of prompts that the user has used today.
    pub used: i64,
}

impl TestUser {
    pub fn anonymous(address: SocketAddr) -> Self {
        // An error means that a cryptography provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self::with_client(address, http)
    }

    fn with_client(address: SocketAddr, http: reqwest::Client) -> Self {
        let (token, refresh_token, id, phone_number) = Default::default();
        Self { address, token, refresh_token, id, phone_number, http }
    }

    pub async fn sign_in(address: SocketAddr, phone_number: &str) -> Self {
        Self::anonymous(address).sign_in_as(phone_number).await
    }

    /// Signs in with the same HTTP client.
    pub async fn sign_in_as(&self, phone_number: &str) -> Self {
        let mut user = Self::with_client(self.address, self.http.clone());
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

    /// Executes an operation and returns the whole response.
    pub async fn execute(&self, query: &str, variables: Value) -> Value {
        self.post(&json!({"query": query, "variables": variables})).await
    }

    /// Posts a request, or a batch of them, and returns the whole response.
    pub async fn post(&self, body: &Value) -> Value {
        let mut request = self.http.post(format!("http://{}/graphql", self.address)).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Executes an operation that must succeed, and returns its data.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut response = self.execute(query, variables).await;
        assert_eq!(response.get("errors"), None, "{query}");
        response["data"].take()
    }

    /// Executes an operation and returns the code of its first error, or `no error`.
    pub async fn error_code(&self, query: &str, variables: Value) -> String {
        code_of(&self.execute(query, variables).await).to_owned()
    }

    pub async fn create_chatroom(&self, title: &str) -> TestChatroom {
        self.create_chatroom_with(json!({ "title": title })).await
    }

    pub async fn create_chatroom_with(&self, input: Value) -> TestChatroom {
        let query =
            "mutation($input: CreateChatroomInput!) { createChatroom(input: $input) { chatroom { id } } }";
        let data = self.data(query, json!({ "input": input })).await;
        let id = data["createChatroom"]["chatroom"]["id"].as_str().unwrap().to_owned();
        TestChatroom { user: self.clone(), id }
    }

    /// A message with all its fields.
    pub async fn message(&self, id: &str) -> Value {
        let query = "query($id: ID!) { node(id: $id) { ... on Message {
            id role content status cursor model finishReason queuePosition
            failure { code message retryable } tokens { prompt output thoughts total }
            inReplyTo { id } alternatives { id } chatroom { id }
        } } }";
        self.data(query, json!({ "id": id })).await["node"].take()
    }

    /// The number of prompts that the user has used today.
    pub async fn used(&self) -> i64 {
        self.data("{ me { usage { used } } }", json!({})).await["me"]["usage"]["used"].as_i64().unwrap()
    }

    /// Stops a reply.
    pub async fn stop(&self, reply: &str) -> Value {
        let query =
            "mutation($id: ID!) { stopReply(input: { messageId: $id }) { message { status content } } }";
        self.data(query, json!({ "id": reply })).await["stopReply"]["message"].take()
    }

    pub async fn regenerate(&self, reply: &str) -> Result<SentMessage, Value> {
        parse_sent_message(self.execute(REGENERATE, json!({ "id": reply })).await, "regenerateReply")
    }

    /// Sends another version of a message.
    pub async fn edit(&self, message: &str, content: &str) -> Result<SentMessage, Value> {
        let input = json!({"messageId": message, "content": content});
        parse_sent_message(self.execute(EDIT_MESSAGE, json!({ "input": input })).await, "editMessage")
    }

    pub async fn edit_with_key(&self, message: &str, content: &str, key: &str) -> Result<SentMessage, Value> {
        let input = json!({"messageId": message, "content": content, "idempotencyKey": key});
        parse_sent_message(self.execute(EDIT_MESSAGE, json!({ "input": input })).await, "editMessage")
    }

    /// Selects a version of a message, so that the active branch contains it.
    pub async fn select(&self, version: &str) -> Result<(), Value> {
        let query = "mutation($id: ID!) { selectAlternative(input: { messageId: $id }) { chatroom { id } } }";
        let response = self.execute(query, json!({ "id": version })).await;
        if response.get("errors").is_some() { Err(response) } else { Ok(()) }
    }

    pub async fn socket(&self) -> Socket {
        Socket::connect(self.address, &self.token).await
    }

    /// Follows a reply on a new socket.
    pub async fn follow(&self, reply: &str, after: Option<&str>) -> Follower {
        let mut socket = self.socket().await;
        socket.subscribe("reply", REPLY_STREAM, &json!({"id": reply, "after": after})).await;
        Follower { socket, text: String::new(), cursor: String::new(), restarts: 0 }
    }

    /// Follows a reply to its end.
    pub async fn read(&self, reply: &str) -> Follower {
        let mut follower = self.follow(reply, None).await;
        follower.read_to_end().await;
        follower
    }
}

impl TestChatroom {
    pub async fn send(&self, content: &str) -> SentMessage {
        self.try_send(json!({ "content": content })).await.unwrap()
    }

    /// Adds the chatroom's id to the input and sends the message. An error contains the whole response.
    pub async fn try_send(&self, mut input: Value) -> Result<SentMessage, Value> {
        input["chatroomId"] = json!(self.id);
        parse_sent_message(self.user.execute(SEND_MESSAGE, json!({ "input": input })).await, "sendMessage")
    }

    /// Role and content of each message of the active branch.
    pub async fn branch(&self) -> Vec<(String, String)> {
        let query =
            "query($id: ID!) { chatroom(id: $id) { messages(first: 100) { nodes { role content } } } }";
        let data = self.user.data(query, json!({ "id": self.id })).await;
        let nodes = data["chatroom"]["messages"]["nodes"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        nodes.iter().map(|node| (text(&node["role"]), text(&node["content"]))).collect()
    }
}

fn parse_sent_message(response: Value, field: &str) -> Result<SentMessage, Value> {
    if response.get("errors").is_some() {
        return Err(response);
    }
    let payload = &response["data"][field];
    let id = |name: &str| payload[name]["id"].as_str().unwrap().to_owned();
    Ok(SentMessage {
        message: id("message"),
        reply: id("reply"),
        used: payload["usage"]["used"].as_i64().unwrap(),
    })
}

/// A subscriber of a reply. It keeps the text and the cursor up to date, as a client should.
pub struct Follower {
    socket: Socket,
    pub text: String,
    pub cursor: String,
    /// How many times the reply was restarted.
    pub restarts: usize,
}

impl Follower {
    /// Applies the next event and returns its type, or `None` after the last event.
    pub async fn next_event(&mut self) -> Option<String> {
        let message = self.socket.next().await.expect("the socket closed");
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

    /// Reads events until the reply's text contains `text`.
    pub async fn read_until(&mut self, text: &str) {
        while !self.text.contains(text) {
            self.next_event().await.expect("the reply ended without the expected text");
        }
    }

    /// Reads to the end and returns the type of the last event.
    pub async fn read_to_end(&mut self) -> String {
        let mut last = String::new();
        while let Some(kind) = self.next_event().await {
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
    regenerateReply(input: { messageId: $id }) { message { id } reply { id } usage { used } }
}";

pub const EDIT_MESSAGE: &str = "mutation($input: EditMessageInput!) {
    editMessage(input: $input) { message { id } reply { id } usage { used } }
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

/// A user with a phone number, not inserted yet.
pub fn new_user(phone_number: &str, now: DateTime<Utc>) -> user::Model {
    user::Model {
        id: UserId::generate(),
        phone_number: phone_number.to_owned(),
        email: None,
        full_name: None,
        password_hash: None,
        verified_at: Some(now),
        chatrooms_version: 0,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    }
}

/// Inserts a user with a phone number, without a session.
pub async fn insert_user(db: &impl ConnectionTrait, phone_number: &str, now: DateTime<Utc>) -> user::Model {
    let new = new_user(phone_number, now);
    users::find_or_insert(db, new).await.unwrap()
}
