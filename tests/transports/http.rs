//! GraphQL over HTTP: single responses, Server-Sent Events and multipart, with their media types and statuses.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Gate, Script, TestApp, TestUser, app::TestOptions, code_of, socket::TEST_TIMEOUT, user::REPLY_STREAM,
};

const JSON: &str = "application/json";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
const EVENTS: &str = "text/event-stream";
const PARTS: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json";

/// Posts a body to the API with the user's token and these headers.
async fn post(
    user: &TestUser,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> reqwest::Response {
    let mut request = user.http.post(format!("http://{}/graphql", user.address)).body(body);
    if !user.token.is_empty() {
        request = request.bearer_auth(&user.token);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn the_http_status_depends_on_the_accepted_media_type() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    for (query, status, status_as_json, code) in [
        ("{ __typename }", 200, 200, "no error"),
        ("{", 400, 200, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        ("{ chatrooms { nodes { id } } }", 200, 200, "UNAUTHENTICATED"),
    ] {
        for (accept, status) in [(GRAPHQL_RESPONSE, status), (JSON, status_as_json)] {
            let body = json!({ "query": query }).to_string();
            let response = post(&anonymous, &[("content-type", JSON), ("accept", accept)], body).await;
            assert_eq!(response.status().as_u16(), status, "{query} {accept}");
            let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            assert_eq!(content_type, format!("{accept}; charset=utf-8"));
            assert!(response.headers().contains_key("x-request-id"));
            let response: Value = response.json().await.unwrap();
            assert_eq!(code_of(&response), code, "{query}");
            // A request that was not executed has no `data`; one that was has `data`, possibly null.
            let executed = ["no error", "UNAUTHENTICATED"].contains(&code);
            assert_eq!(response.get("data").is_some(), executed, "{query}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn malformed_requests_are_rejected_naming_the_problem() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    for (headers, body, status, expected) in [
        (vec![], "{}", 415, "The Content-Type must be application/json"),
        (vec![("content-type", "text/plain")], "{}", 415, "The Content-Type must be application/json"),
        (
            vec![("content-type", "application/json; charset=iso-8859-1")],
            "{}",
            415,
            "The charset must be utf-8",
        ),
        (vec![("content-type", "application/json; charset=\"UTF-8\"")], "{}", 400, "query must be a string"),
        (vec![("content-type", JSON)], "{", 400, "The body is not JSON"),
        (vec![("content-type", JSON)], "7", 400, "A request must be an object with `query`"),
        (vec![("content-type", JSON)], "[]", 400, "A batch must hold 1 to 10 operations"),
        (vec![("content-type", JSON)], r#"{"query": 7}"#, 400, "query must be a string"),
        (
            vec![("content-type", JSON)],
            r#"{"query": "{a}", "variables": []}"#,
            400,
            "variables must be an object",
        ),
        (
            vec![("content-type", JSON)],
            r#"{"query": "{a}", "operationName": 1}"#,
            400,
            "operationName must be a string",
        ),
        (
            vec![("content-type", JSON)],
            r#"{"query": "{a}", "extensions": ""}"#,
            400,
            "extensions must be an object",
        ),
        (
            vec![("content-type", JSON), ("accept", "image/png")],
            r#"{"query": "{a}"}"#,
            406,
            "Accept names no media type",
        ),
        (
            vec![("content-type", JSON), ("accept", JSON)],
            r#"{"query": "subscription { accountEvents { usage { used } } }"}"#,
            406,
            "Accept must allow text/event-stream",
        ),
    ] {
        let response = post(&anonymous, &headers, body).await;
        assert_eq!(response.status().as_u16(), status, "{headers:?} {body}");
        let response: Value = response.json().await.unwrap();
        assert_eq!(code_of(&response), "BAD_USER_INPUT");
        let message = response["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
    app.stop().await;
}

#[tokio::test]
async fn response_fields_follow_the_selection_order() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.create_chatroom("x").await;
    let query = "query($on: Boolean!) {
        z: __typename
        chatrooms(first: 1) { nodes { title ...More id } }
        me { usage { limit used } id ... on User { phoneNumber @include(if: $on) usage { remaining } } }
        a: __typename
    }
    fragment More on Chatroom { model ...More2 } fragment More2 on Chatroom { systemInstruction }";
    let body = json!({"query": query, "variables": {"on": true}}).to_string();
    let response = post(&user, &[("content-type", JSON)], body).await.text().await.unwrap();
    let mut position = 0;
    for name in [
        "z",
        "chatrooms",
        "nodes",
        "title",
        "model",
        "systemInstruction",
        "id",
        "me",
        "usage",
        "limit",
        "used",
        "remaining",
        "id",
        "phoneNumber",
        "a",
    ] {
        let found = response[position..].find(&format!("\"{name}\":"));
        position +=
            found.unwrap_or_else(|| panic!("{name} is not after {} in {response}", &response[..position]));
    }
    app.stop().await;
}

#[tokio::test]
async fn an_error_nulls_the_nearest_nullable_parent_only() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let response = anonymous.execute("{ me { id } chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(response["data"], Value::Null, "the non-null field chatrooms nulls the whole response");
    let response = anonymous.execute("{ me { id } node(id: \"x\") { id } }", json!({})).await;
    assert_eq!(response["data"], json!({"me": null, "node": null}), "{response}");
    app.stop().await;
}

/// Reads the blocks of an event stream or a multipart body as they arrive.
struct Blocks {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    /// The text that has been received and not yet returned.
    received: String,
    /// The text that separates two blocks.
    separator: &'static str,
}

impl Blocks {
    fn of(response: reqwest::Response, separator: &'static str) -> Self {
        Self { body: response.bytes_stream().boxed(), received: String::new(), separator }
    }

    /// The next block, or `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.received.split_once(self.separator) {
                let block = block.to_owned();
                self.received = rest.to_owned();
                return Some(block);
            }
            let bytes = timeout(TEST_TIMEOUT, self.body.next()).await.expect("no data in time")?.unwrap();
            self.received.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

/// The body of a request that subscribes to a reply.
fn reply_subscription(reply: &str) -> String {
    json!({"query": REPLY_STREAM, "variables": {"id": reply}}).to_string()
}

#[tokio::test]
async fn an_event_stream_follows_a_reply_and_resumes_by_last_event_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let headers = [("content-type", JSON), ("accept", EVENTS)];
    let response = post(&user, &headers, reply_subscription(&sent.reply)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let mut events = Blocks::of(response, "\n\n");
    assert_eq!(events.next().await.unwrap(), ":", "an empty comment");
    let first = events.next().await.unwrap();
    assert!(first.starts_with("event: next\nid: 1-5\ndata: {\"data\":{\"replyStream\":"), "{first}");
    drop(events);
    gate.release_one();
    user.read(&sent.reply).await;
    let resumed = [headers[0], headers[1], ("last-event-id", "1-5")];
    let mut events = Blocks::of(post(&user, &resumed, reply_subscription(&sent.reply)).await, "\n\n");
    let (mut text, mut last) = (String::new(), String::new());
    while let Some(event) = events.next().await {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        let data: Value = data.map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
        text.push_str(data["data"]["replyStream"]["text"].as_str().unwrap_or_default());
        last = event;
    }
    assert_eq!((text.as_str(), last.as_str()), ("and half", "event: complete\ndata:"));
    // Queries work the same way, for clients that support only this transport.
    let query = json!({"query": "{ __typename }"}).to_string();
    let response = post(&user, &headers, query).await.text().await.unwrap();
    assert_eq!(
        response,
        ":\n\nevent: next\ndata: {\"data\":{\"__typename\":\"Query\"}}\n\nevent: complete\ndata:\n\n"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_multipart_subscription_delivers_each_part_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let response =
        post(&user, &[("content-type", JSON), ("accept", PARTS)], reply_subscription(&sent.reply)).await;
    let content_type = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";
    assert_eq!(response.headers()["content-type"], content_type);
    let mut parts = Blocks::of(response, "\r\n--graphql");
    assert_eq!(parts.next().await.unwrap(), "");
    // The fake Gemini waits at the gate, so that no other part follows. The whole part must arrive nevertheless.
    let first = parts.next().await.unwrap();
    let first = first.strip_prefix("\r\ncontent-type: application/json\r\n\r\n").unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["payload"]["data"]["replyStream"]["text"], "Half ");
    gate.release_one();
    let mut last = String::new();
    while let Some(part) = parts.next().await {
        last = part;
    }
    assert!(last.contains("ReplyCompleted"));
    assert_eq!(parts.received, "--\r\n", "the end of the multipart body");
    app.stop().await;
}

#[tokio::test]
async fn http_subscriptions_end_with_the_session() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let query = json!({"query": "subscription { accountEvents { usage { used } } }"}).to_string();
    let events = post(&user, &[("content-type", JSON), ("accept", EVENTS)], query.clone()).await;
    let parts = post(&user, &[("content-type", JSON), ("accept", PARTS)], query).await;
    let (mut events, mut parts) = (Blocks::of(events, "\n\n"), Blocks::of(parts, "\r\n--graphql"));
    // The block before the first event, and the first event.
    for _ in 0..2 {
        events.next().await.unwrap();
        parts.next().await.unwrap();
    }
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(events.next().await.unwrap(), ": token expired");
    assert_eq!(events.next().await, None, "no `complete`, so that the client reconnects");
    let last = parts.next().await.unwrap();
    assert!(last.contains("\"payload\":null") && last.contains("UNAUTHENTICATED"), "{last}");
    assert_eq!(parts.next().await, None);
    app.stop().await;
}

#[tokio::test]
async fn http_subscriptions_end_at_shutdown_after_their_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let headers = [("content-type", JSON), ("accept", EVENTS)];
    let mut events = Blocks::of(post(&user, &headers, reply_subscription(&sent.reply)).await, "\n\n");
    let mut idle = {
        let query = json!({"query": "subscription { accountEvents { usage { used } } }"}).to_string();
        Blocks::of(post(&user, &headers, query).await, "\n\n")
    };
    let read_to_end = async |blocks: &mut Blocks| {
        let mut all = Vec::new();
        while let Some(block) = blocks.next().await {
            all.push(block);
        }
        all
    };
    while !events.next().await.unwrap().contains("To be") {}
    app.life.soft.cancel();
    gate.release_one();
    let (reply_events, idle_events) = tokio::join!(read_to_end(&mut events), read_to_end(&mut idle));
    assert!(reply_events.iter().any(|event| event.contains("ReplyCompleted")), "{reply_events:?}");
    assert_eq!(reply_events.last().unwrap(), "event: complete\ndata:");
    assert_eq!(idle_events.last().unwrap(), ": the server shuts down");
    app.shut_down().await;
}

#[tokio::test]
async fn rate_and_quota_rejections_send_retry_after() {
    let clock = pollux::clock::Clock::stopped("2026-11-21T23:59:00.5Z".parse().unwrap());
    let settings = ["--basic-daily-limit=1"];
    let options = TestOptions { settings: &settings, clock: Some(clock), ..TestOptions::default() };
    let app = TestApp::with(options).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let response_to = async |body: Value| {
        let request = user.http.post(app.url()).bearer_auth(&user.token).json(&body);
        let response = request.send().await.unwrap();
        let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let response: Value = response.json().await.unwrap();
        let response = response.get(0).unwrap_or(&response);
        (code_of(response).to_owned(), header, response["errors"][0]["extensions"]["retryAfter"].to_string())
    };
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    let send = json!({"query": send, "variables": {"id": chatroom.id}});
    let (code, header, _) = response_to(send.clone()).await;
    assert_eq!((code.as_str(), header), ("no error", None));
    for body in [send.clone(), json!([send])] {
        let (code, header, _) = response_to(body).await;
        assert_eq!((code.as_str(), header.as_deref()), ("QUOTA_EXCEEDED", Some("60")));
    }
    let otp = "mutation { sendOtp(input: {phoneNumber: \"+14155550199\"}) { otp } }";
    let otp = json!({ "query": otp });
    assert_eq!(response_to(otp.clone()).await.1, None);
    let (code, header, retry_after) = response_to(otp).await;
    assert_eq!((code.as_str(), header), ("RATE_LIMITED", Some(retry_after)));
    app.stop().await;
}
