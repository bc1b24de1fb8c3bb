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

/// After this time without a response the client switches to another node.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Client {
    number: usize,
    token: String,
    chatrooms: Vec<String>,
    nodes: Nodes,
    chance: fastrand::Rng,
    http: reqwest::Client,
    observed: Observations,
    /// Whether the client never disconnects by itself, so that nodes cause all failures. Such a client signs in as another user
    /// after each reply.
    steady: bool,
}

/// What a client has observed.
#[derive(Default)]
pub struct Observations {
    pub sent: Vec<SentMessage>,
    /// Mutations to which a node sent an error or no response.
    pub failed: usize,
    pub resumed: usize,
    pub restarted: usize,
}

pub struct SentMessage {
    pub question: String,
    pub reply: String,
    pub text: String,
    pub end: String,
}

impl Client {
    pub async fn sign_in(number: usize, seed: u64, nodes: Nodes, steady: bool) -> Self {
        let user = TestUser::sign_in(nodes.all()[0], &format!("+1415{}", 2_000_000 + number)).await;
        let chatrooms = vec![user.create_chatroom("a").await.id, user.create_chatroom("b").await.id];
        let http = reqwest::Client::builder().no_proxy().timeout(RESPONSE_TIMEOUT).build().unwrap();
        let chance = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        Self {
            number,
            token: user.token,
            chatrooms,
            nodes,
            chance,
            http,
            observed: Observations::default(),
            steady,
        }
    }

    /// Sends messages one after the other until `until` is cancelled. Follows each reply to its end.
    pub async fn chat(mut self, until: CancellationToken) -> Observations {
        let mut round = 0;
        while !until.is_cancelled() {
            let question = format!("{}/{round}", self.number);
            let reply = self.send_message(&question).await;
            let (text, end) = self.follow(&reply).await;
            self.observed.sent.push(SentMessage { question, reply, text, end });
            round += 1;
            if self.steady {
                self.sign_in_as_new_user(round).await;
            }
        }
        self.observed
    }

    fn any_node(&mut self) -> SocketAddr {
        let nodes = self.nodes.all();
        nodes[self.chance.usize(..nodes.len())]
    }

    /// Signs up as another user, who has one chatroom with the default title.
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
        let chatroom = &self.chatrooms[self.chance.usize(..self.chatrooms.len())];
        let input = json!({"chatroomId": chatroom, "content": question, "idempotencyKey": question});
        let sent = self.execute(user::SEND_MESSAGE, json!({ "input": input })).await;
        sent["sendMessage"]["reply"]["id"].as_str().unwrap().to_owned()
    }

    /// Executes a mutation, and repeats it until it succeeds. Returns its data.
    async fn execute(&mut self, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        loop {
            let url = format!("http://{}/graphql", self.any_node());
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
                // The connection was refused. A load balancer would try another node, too, so this is no failure.
                Err(error) if error.is_connect() => {}
                Err(_) => self.observed.failed += 1,
            }
            sleep(Duration::from_millis(self.chance.u64(10..200))).await;
        }
    }

    async fn follow(&mut self, reply: &str) -> (String, String) {
        let (mut text, mut cursor) = (String::new(), None);
        loop {
            if let Some(end) = self.follow_on_one_socket(reply, &mut text, &mut cursor).await {
                return (text, end);
            }
            self.observed.resumed += 1;
            sleep(Duration::from_millis(self.chance.u64(10..200))).await;
        }
    }

    /// Follows a reply on one socket. Returns `None` if the socket broke.
    async fn follow_on_one_socket(
        &mut self,
        reply: &str,
        text: &mut String,
        cursor: &mut Option<String>,
    ) -> Option<String> {
        let mut request = format!("ws://{}/graphql", self.any_node()).into_client_request().ok()?;
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().ok()?);
        let (mut socket, _) = timeout(RESPONSE_TIMEOUT, connect_async(request)).await.ok()?.ok()?;
        let init = json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}", self.token)}});
        let variables = json!({"id": reply, "after": cursor});
        let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": user::REPLY_STREAM, "variables": variables}});
        socket.send(Message::text(init.to_string())).await.ok()?;
        let mut acknowledged = false;
        loop {
            // Sometimes the client disconnects by itself.
            if !self.steady && self.chance.u32(..100) == 0 {
                return None;
            }
            let Message::Text(message) = timeout(RESPONSE_TIMEOUT, socket.next()).await.ok()??.ok()? else {
                continue;
            };
            let message: Value = serde_json::from_str(&message).unwrap();
            if !acknowledged {
                assert_eq!(message["type"], "connection_ack");
                acknowledged = true;
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
                end => return Some(end.to_owned()),
            }
            *cursor = Some(event["cursor"].as_str().unwrap().to_owned());
        }
    }
}
