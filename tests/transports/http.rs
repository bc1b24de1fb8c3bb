//! Operations over plain HTTP, as events and as parts: media types, statuses, and what a body looks like.

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Gate, Script, TestApp, TestUser, app::Wishes, code_of, socket::PATIENCE, user::REPLY_STREAM,
};

const JSON: &str = "application/json";
const NEWER: &str = "application/graphql-response+json";
const EVENTS: &str = "text/event-stream";
const PARTS: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json";

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
async fn the_status_says_what_the_media_type_lets_it() {
    let app = TestApp::start().await;
    let stranger = app.stranger();
    for (query, newer, older, code) in [
        ("{ __typename }", 200, 200, "no error"),
        ("{", 400, 200, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        ("{ chatrooms { nodes { id } } }", 200, 200, "UNAUTHENTICATED"),
    ] {
        for (accept, status) in [(NEWER, newer), (JSON, older)] {
            let body = json!({ "query": query }).to_string();
            let answer = post(&stranger, &[("content-type", JSON), ("accept", accept)], body).await;
            assert_eq!(answer.status().as_u16(), status, "{query} {accept}");
            let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
            assert_eq!(content_type, format!("{accept}; charset=utf-8"));
            assert!(answer.headers().contains_key("x-request-id"));
            let answer: Value = answer.json().await.unwrap();
            assert_eq!(code_of(&answer), code, "{query}");
            // What was not executed has no data, and what was has some, if only null.
            let executed = ["no error", "UNAUTHENTICATED"].contains(&code);
            assert_eq!(answer.get("data").is_some(), executed, "{query}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_name() {
    let app = TestApp::start().await;
    let stranger = app.stranger();
    for (headers, body, status, says) in [
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
            "a subscription is answered as text/event-stream",
        ),
    ] {
        let answer = post(&stranger, &headers, body).await;
        assert_eq!(answer.status().as_u16(), status, "{headers:?} {body}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(code_of(&answer), "BAD_USER_INPUT");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(says) || message.contains(says), "{message}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fields_come_in_the_order_in_which_they_are_asked_for() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.room("x").await;
    let query = "query($on: Boolean!) {
        z: __typename
        chatrooms(first: 1) { nodes { title ...More id } }
        me { usage { limit used } id ... on User { phoneNumber @include(if: $on) usage { remaining } } }
        a: __typename
    }
    fragment More on Chatroom { model ...More2 } fragment More2 on Chatroom { systemInstruction }";
    let body = json!({"query": query, "variables": {"on": true}}).to_string();
    let answer = post(&user, &[("content-type", JSON)], body).await.text().await.unwrap();
    let mut at = 0;
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
        let found = answer[at..].find(&format!("\"{name}\":"));
        at += found.unwrap_or_else(|| panic!("{name} is not after {} in {answer}", &answer[..at]));
    }
    app.stop().await;
}

#[tokio::test]
async fn an_error_makes_null_what_cannot_be_without_it_and_no_more() {
    let app = TestApp::start().await;
    let stranger = app.stranger();
    let answer = stranger.ask_api("{ me { id } chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(answer["data"], Value::Null, "chatrooms cannot be null, and so nothing is left");
    let answer = stranger.ask_api("{ me { id } node(id: \"x\") { id } }", json!({})).await;
    assert_eq!(answer["data"], json!({"me": null, "node": null}), "{answer}");
    app.stop().await;
}

/// The blocks of an event stream or of a multipart body, as they come.
struct Blocks {
    body: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
    end: &'static str,
}

impl Blocks {
    fn of(answer: reqwest::Response, end: &'static str) -> Self {
        Self { body: answer.bytes_stream().boxed(), read: String::new(), end }
    }

    /// The next; none after the last.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once(self.end) {
                let block = block.to_owned();
                self.read = rest.to_owned();
                return Some(block);
            }
            let bytes = timeout(PATIENCE, self.body.next()).await.expect("nothing comes")?.unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

fn follow(reply: &str) -> String {
    json!({"query": REPLY_STREAM, "variables": {"id": reply}}).to_string()
}

#[tokio::test]
async fn a_reply_is_followed_by_events_and_resumed_by_the_last_ones_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let headers = [("content-type", JSON), ("accept", EVENTS)];
    let answer = post(&user, &headers, follow(&asked.reply)).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let mut events = Blocks::of(answer, "\n\n");
    assert_eq!(events.next().await.unwrap(), ":");
    let first = events.next().await.unwrap();
    assert!(first.starts_with("event: next\nid: 1-5\ndata: {\"data\":{\"replyStream\":"), "{first}");
    drop(events);
    gate.open();
    user.read(&asked.reply).await;
    let resumed = [headers[0], headers[1], ("last-event-id", "1-5")];
    let mut events = Blocks::of(post(&user, &resumed, follow(&asked.reply)).await, "\n\n");
    let (mut text, mut last) = (String::new(), String::new());
    while let Some(event) = events.next().await {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        let data: Value = data.map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
        text.push_str(data["data"]["replyStream"]["text"].as_str().unwrap_or_default());
        last = event;
    }
    assert_eq!((text.as_str(), last.as_str()), ("and half", "event: complete\ndata:"));
    // A query comes the same way, for clients that know no other.
    let query = json!({"query": "{ __typename }"}).to_string();
    let answer = post(&user, &headers, query).await.text().await.unwrap();
    assert_eq!(
        answer,
        ":\n\nevent: next\ndata: {\"data\":{\"__typename\":\"Query\"}}\n\nevent: complete\ndata:\n\n"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_reply_is_followed_by_parts_each_whole_when_it_comes() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let answer = post(&user, &[("content-type", JSON), ("accept", PARTS)], follow(&asked.reply)).await;
    let content_type = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";
    assert_eq!(answer.headers()["content-type"], content_type);
    let mut parts = Blocks::of(answer, "\r\n--graphql");
    assert_eq!(parts.next().await.unwrap(), "");
    // The stand-in waits: this part is whole though no other follows.
    let first = parts.next().await.unwrap();
    let first = first.strip_prefix("\r\ncontent-type: application/json\r\n\r\n").unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(first["payload"]["data"]["replyStream"]["text"], "Half ");
    gate.open();
    let mut last = String::new();
    while let Some(part) = parts.next().await {
        last = part;
    }
    assert!(last.contains("ReplyCompleted"));
    assert_eq!(parts.read, "--\r\n");
    app.stop().await;
}

#[tokio::test]
async fn what_follows_ends_with_the_session() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let query = json!({"query": "subscription { accountEvents { usage { used } } }"}).to_string();
    let events = post(&user, &[("content-type", JSON), ("accept", EVENTS)], query.clone()).await;
    let parts = post(&user, &[("content-type", JSON), ("accept", PARTS)], query).await;
    let (mut events, mut parts) = (Blocks::of(events, "\n\n"), Blocks::of(parts, "\r\n--graphql"));
    for _ in 0..2 {
        events.next().await.unwrap();
        parts.next().await.unwrap();
    }
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(events.next().await.unwrap(), ": token expired");
    assert_eq!(events.next().await, None, "without `complete`, so that the client comes back");
    let last = parts.next().await.unwrap();
    assert!(last.contains("\"payload\":null") && last.contains("UNAUTHENTICATED"), "{last}");
    assert_eq!(parts.next().await, None);
    app.stop().await;
}

#[tokio::test]
async fn what_follows_ends_when_the_server_does_and_not_before_its_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let asked = user.room("x").await.ask("hi").await;
    let headers = [("content-type", JSON), ("accept", EVENTS)];
    let mut events = Blocks::of(post(&user, &headers, follow(&asked.reply)).await, "\n\n");
    let mut idle = {
        let query = json!({"query": "subscription { accountEvents { usage { used } } }"}).to_string();
        Blocks::of(post(&user, &headers, query).await, "\n\n")
    };
    let all = async |blocks: &mut Blocks| {
        let mut all = Vec::new();
        while let Some(block) = blocks.next().await {
            all.push(block);
        }
        all
    };
    while !events.next().await.unwrap().contains("To be") {}
    app.life.soft.cancel();
    gate.open();
    let (followed, idled) = tokio::join!(all(&mut events), all(&mut idle));
    assert!(followed.iter().any(|event| event.contains("ReplyCompleted")), "{followed:?}");
    assert_eq!(followed.last().unwrap(), "event: complete\ndata:");
    assert_eq!(idled.last().unwrap(), ": the server shuts down");
    app.end().await;
}

#[tokio::test]
async fn what_is_refused_for_its_rate_or_quota_says_when_to_come_back() {
    let clock = pollux::clock::Clock::stopped("2026-11-21T23:59:00.5Z".parse().unwrap());
    let settings = ["--basic-daily-limit=1"];
    let wishes = Wishes { settings: &settings, clock: Some(clock), ..Wishes::default() };
    let app = TestApp::with(wishes).await;
    let user = app.user().await;
    let room = user.room("x").await;
    let answer_to = async |body: Value| {
        let request = user.http.post(app.url()).bearer_auth(&user.token).json(&body);
        let answer = request.send().await.unwrap();
        let header = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let answer: Value = answer.json().await.unwrap();
        let answer = answer.get(0).unwrap_or(&answer);
        (code_of(answer).to_owned(), header, answer["errors"][0]["extensions"]["retryAfter"].to_string())
    };
    let send =
        "mutation($id: ID!) { sendMessage(input: {chatroomId: $id, content: \"hi\"}) { reply { id } } }";
    let send = json!({"query": send, "variables": {"id": room.id}});
    let (code, header, _) = answer_to(send.clone()).await;
    assert_eq!((code.as_str(), header), ("no error", None));
    for body in [send.clone(), json!([send])] {
        let (code, header, _) = answer_to(body).await;
        assert_eq!((code.as_str(), header.as_deref()), ("QUOTA_EXCEEDED", Some("60")));
    }
    let otp = "mutation { sendOtp(input: {phoneNumber: \"+14155550199\"}) { otp } }";
    let otp = json!({ "query": otp });
    assert_eq!(answer_to(otp.clone()).await.1, None);
    let (code, header, retry_after) = answer_to(otp).await;
    assert_eq!((code.as_str(), header), ("RATE_LIMITED", Some(retry_after)));
    app.stop().await;
}
