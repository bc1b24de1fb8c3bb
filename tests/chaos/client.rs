//! A client that retries after every fault: it repeats mutations under the same idempotency key and resumes replies by
//! their cursor on any node.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::Nodes,
    support::{TestUser, user},
};

/// After this time without a response the client retries on a random node.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Client {
    number: usize,
    token: String,
    chatrooms: Vec<String>,
    nodes: Nodes,
    random: fastrand::Rng,
    http: reqwest::Client,
    observed: Observations,
    /// Whether the client never disconnects by itself, so that nodes cause all failures. Such a client also signs in as a new
    /// user after each reply.
    is_steady: bool,
}

/// What a client has observed.
#[derive(Default)]
pub struct Observations {
    pub sent: Vec<SentMessage>,
    /// Mutations to which a node sent an error or no response.
    pub failed: usize,
    /// How often a reply was resumed on another socket.
    pub resumed: usize,
    /// The received `ReplyRestarted` events.
    pub restarted: usize,
}

pub struct SentMessage {
    pub question: String,
    /// The id of the reply.
    pub reply: String,
    /// The text of the reply, as the client assembled it from events.
    pub text: String,
    /// The type of the reply's last event.
    pub last_event: String,
}

impl Client {
    pub async fn sign_in(number: usize, seed: u64, nodes: Nodes, is_steady: bool) -> Self {
        let user = TestUser::sign_in(nodes.all()[0], &format!("+1415{}", 2_000_000 + number)).await;
        let chatrooms = vec![user.create_chatroom("a").await.id, user.create_chatroom("b").await.id];
        let http = reqwest::Client::builder().no_proxy().timeout(RESPONSE_TIMEOUT).build().unwrap();
        let random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        Self {
            number,
            token: user.token,
            chatrooms,
            nodes,
            random,
            http,
            observed: Observations::default(),
            is_steady,
        }
    }

    /// Sends messages until `stop` is cancelled, each after the end of the reply to the previous one.
    pub async fn chat(mut self, stop: CancellationToken) -> Observations {
        let mut round = 0;
        while !stop.is_cancelled() {
            let question = format!("{}/{round}", self.number);
            let reply = self.send_message(&question).await;
            let (text, last_event) = self.follow(&reply).await;
            self.observed.sent.push(SentMessage { question, reply, text, last_event });
            round += 1;
            if self.is_steady {
                self.sign_in_as_new_user(round).await;
            }
        }
        self.observed
    }

    fn random_node(&mut self) -> SocketAddr {
        let nodes = self.nodes.all();
        nodes[self.random.usize(..nodes.len())]
    }

    /// Signs in as a new user, who has one chatroom with the default title.
    async fn sign_in_as_new_user(&mut self, round: usize) {
        let phone = format!("+1415{}", 2_000_000 + 1000 * round + self.number);
        self.token.clear();
        let sent = self.execute(user::SEND_OTP, json!({ "phone": phone })).await;
        let code = json!({"phone": phone, "otp": sent["sendOtp"]["otp"]});
        let signed_in = self.execute(user::VERIFY_OTP, code).await;
        self.token = signed_in["verifyOtp"]["accessToken"].as_str().unwrap().to_owned();
        let query = "mutation { createChatroom(input: {}) { chatroom { id } } }";
        let created = self.execute(query, json!({})).await;
        self.chatrooms = vec![created["createChatroom"]["chatroom"]["id"].as_str().unwrap().to_owned()];
    }

    async fn send_message(&mut self, question: &str) -> String {
        let chatroom = &self.chatrooms[self.random.usize(..self.chatrooms.len())];
        let input = json!({"chatroomId": chatroom, "content": question, "idempotencyKey": question});
        let sent = self.execute(user::SEND_MESSAGE, json!({ "input": input })).await;
        sent["sendMessage"]["reply"]["id"].as_str().unwrap().to_owned()
    }

    /// Executes a mutation, repeats it until it succeeds, and returns its data.
    async fn execute(&mut self, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        loop {
            let url = format!("http://{}/graphql", self.random_node());
            let mut request = self.http.post(url).json(&body);
            if !self.token.is_empty() {
                request = request.bearer_auth(&self.token);
            }
            match request.send().await {
                Ok(response) => match response.json::<Value>().await {
                    Ok(mut response) if response.get("errors").is_none() => return response["data"].take(),
                    Ok(rejected) => {
                        assert_eq!(user::code_of(&rejected), "INTERNAL_SERVER_ERROR", "{rejected}");
                        self.observed.failed += 1;
                    }
                    Err(_) => self.observed.failed += 1,
                },
                // The connection was refused. A load balancer would also try another node, so this does not count as a failure.
                Err(error) if error.is_connect() => {}
                Err(_) => self.observed.failed += 1,
            }
            sleep(Duration::from_millis(self.random.u64(10..200))).await;
        }
    }

    /// Follows a reply to its end. Returns its text and the type of its last event.
    async fn follow(&mut self, reply: &str) -> (String, String) {
        let (mut text, mut cursor) = (String::new(), None);
        loop {
            if let Some(last_event) = self.follow_on_one_socket(reply, &mut text, &mut cursor).await {
                return (text, last_event);
            }
            self.observed.resumed += 1;
            sleep(Duration::from_millis(self.random.u64(10..200))).await;
        }
    }

    /// Follows a reply on one socket and updates `text` and `cursor`. Returns the type of the reply's last event, or `None` if
    /// the socket broke before that event.
    async fn follow_on_one_socket(
        &mut self,
        reply: &str,
        text: &mut String,
        cursor: &mut Option<String>,
    ) -> Option<String> {
        let mut request = format!("ws://{}/graphql", self.random_node()).into_client_request().ok()?;
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().ok()?);
        let (mut socket, _) = timeout(RESPONSE_TIMEOUT, connect_async(request)).await.ok()?.ok()?;
        let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}", self.token)}});
        let variables = json!({"id": reply, "after": cursor});
        let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": user::REPLY_STREAM, "variables": variables}});
        socket.send(Message::text(init.to_string())).await.ok()?;
        let mut is_acknowledged = false;
        loop {
            // Sometimes the client disconnects by itself.
            if !self.is_steady && self.random.u32(..100) == 0 {
                return None;
            }
            let Message::Text(message) = timeout(RESPONSE_TIMEOUT, socket.next()).await.ok()??.ok()? else {
                continue;
            };
            let message: Value = serde_json::from_str(&message).unwrap();
            if !is_acknowledged {
                assert_eq!(message["type"], "connection_ack");
                is_acknowledged = true;
                socket.send(Message::text(subscribe.to_string())).await.ok()?;
                continue;
            }
            let event = &message["payload"]["data"]["replyStream"];
            let kind = event["__typename"].as_str()?;
            match kind {
                "ReplyDelta" => text.push_str(event["text"].as_str().unwrap()),
                "ReplyRestarted" => {
                    text.clear();
                    self.observed.restarted += 1;
                }
                last_event => return Some(last_event.to_owned()),
            }
            *cursor = Some(event["cursor"].as_str().unwrap().to_owned());
        }
    }
}
