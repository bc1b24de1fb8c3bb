//! Connections that take their time, or too many places, and what the page lets in.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    TestApp,
    socket::{PATIENCE, Socket},
};

#[tokio::test]
async fn connections_past_their_number_wait() {
    let app = TestApp::with_settings(&["--max-connections=2"]).await;
    let sockets = [
        Socket::open(app.address, "graphql-transport-ws", &[]).await,
        Socket::open(app.address, "graphql-transport-ws", &[]).await,
    ];
    let mut third = TcpStream::connect(app.address).await.unwrap();
    third.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    let early = timeout(Duration::from_millis(100), third.read_exact(&mut answer)).await;
    assert!(early.is_err(), "two sockets are two connections");
    drop(sockets);
    timeout(PATIENCE, third.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    app.stop().await;
}

/// What the server answers to these bytes before it closes.
async fn answer_to(app: &TestApp, said: &[u8]) -> String {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    connection.write_all(said).await.unwrap();
    let mut answer = Vec::new();
    timeout(2 * PATIENCE, connection.read_to_end(&mut answer)).await.expect("it is not closed").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended() {
    let app = TestApp::start().await;
    let body = b"POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let (body, head, nothing, older) = tokio::join!(
        answer_to(&app, body),
        answer_to(&app, b"GET /graphql HTTP/1.1\r\nhost: x\r\nx-slow"),
        answer_to(&app, b""),
        // The beginning of HTTP/2's.
        answer_to(&app, b"PRI * HTTP/2.0"),
    );
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(body.contains("A body must come within 10s."), "{body}");
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    assert_eq!((nothing, older), (String::new(), String::new()));
    app.stop().await;
}

#[tokio::test]
async fn only_pages_of_allowed_origins_may_call_from_a_browser() {
    let app = TestApp::with_settings(&["--cors-origins=https://chat.example"]).await;
    let http = app.stranger().http;
    let own = format!("http://{}", app.address);
    for (origin, allowed) in [
        ("https://chat.example", true),
        (own.as_str(), true),
        ("https://evil.example", false),
        ("https://chat.example.evil.example", false),
        ("null", false),
    ] {
        let preflight = http.request(Method::OPTIONS, app.url()).header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST");
        let preflight = preflight.header("access-control-request-headers", "authorization,content-type");
        let call = http.post(app.url()).header("origin", origin).json(&json!({"query": "{ __typename }"}));
        for answer in [preflight.send().await.unwrap(), call.send().await.unwrap()] {
            let told = answer.headers().get("access-control-allow-origin").map(|told| told.to_str().unwrap());
            assert_eq!(told, allowed.then_some(origin));
            assert!(!answer.headers().contains_key("access-control-allow-credentials"));
        }
    }
    let webhook = http.post(format!("{own}/webhook/stripe")).header("origin", "https://chat.example");
    let answer = webhook.send().await.unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"), "no page calls it");
    app.stop().await;
}

#[tokio::test]
async fn the_page_lets_in_only_what_it_needs() {
    let app = TestApp::start().await;
    let page = app.stranger().http.get(format!("http://{}/", app.address)).send().await.unwrap();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe-inline'"), "{policy}");
    assert_eq!(
        (header("x-frame-options"), header("x-content-type-options")),
        ("DENY".into(), "nosniff".into())
    );
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let page = page.text().await.unwrap();
    assert!(!page.contains("name=\"referrer\""), "the header's word on it holds");
    let scripts: Vec<_> = page.split("<script").skip(1).collect();
    assert_eq!(scripts.len(), 4);
    assert!(scripts.iter().all(|script| script.starts_with(&format!(" nonce=\"{nonce}\""))));
    app.stop().await;
}
