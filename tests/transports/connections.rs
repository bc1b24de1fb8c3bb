//! Connection limits and timeouts, CORS, Host checks and the Content-Security-Policy.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    FakeStripe, TestApp, TestUser,
    process::Deployment,
    socket::{Socket, TEST_TIMEOUT},
};

#[tokio::test]
async fn connections_over_the_maximum_wait() {
    let app = TestApp::with_settings(&["--max-connections=2"]).await;
    let sockets = [
        Socket::open(app.address, "graphql-transport-ws", &[]).await,
        Socket::open(app.address, "graphql-transport-ws", &[]).await,
    ];
    let mut third = TcpStream::connect(app.address).await.unwrap();
    third.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut response = [0; 12];
    let early_response = timeout(Duration::from_millis(100), third.read_exact(&mut response)).await;
    assert!(early_response.is_err(), "a third connection was served");
    drop(sockets);
    timeout(TEST_TIMEOUT, third.read_exact(&mut response)).await.unwrap().unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
    app.stop().await;
}

/// Sends bytes and returns everything that the server sends before it closes the connection.
async fn response_to(app: &TestApp, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    connection.write_all(request).await.unwrap();
    let mut response = Vec::new();
    timeout(2 * TEST_TIMEOUT, connection.read_to_end(&mut response))
        .await
        .expect("the connection was not closed in time")
        .unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn an_unfinished_request_is_closed_after_its_timeout() {
    let app = TestApp::start().await;
    let unfinished_body = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let (body, head, empty, preface) = tokio::join!(
        response_to(&app, unfinished_body),
        response_to(&app, b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nx-slow"),
        response_to(&app, b""),
        // The beginning of the HTTP/2 connection preface.
        response_to(&app, b"PRI * HTTP/2.0"),
    );
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(body.contains("The body was not received within 10s."), "{body}");
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    assert_eq!((empty, preface), (String::new(), String::new()));
    app.stop().await;
}

#[tokio::test]
async fn every_response_to_an_allowed_origin_has_cors_headers_errors_included() {
    let app = TestApp::with_settings(&["--cors-origins=https://Chat.example"]).await;
    let http = app.anonymous().http;
    let own_origin = format!("http://{}", app.address);
    for (origin, allowed) in [
        ("https://chat.example", true),
        ("HTTPS://CHAT.EXAMPLE", true),
        (own_origin.as_str(), true),
        ("https://evil.example", false),
        ("https://chat.example.evil.example", false),
        ("null", false),
    ] {
        let call = |method: Method, path: &str| {
            http.request(method, format!("{own_origin}{path}")).header("origin", origin)
        };
        let post = || call(Method::POST, "/graphql").header("content-type", "application/json");
        let mut responses = Vec::new();
        for (request, status) in [
            (post().body(r#"{"query": "{ __typename }"}"#), 200),
            (post().body("{"), 400),
            (post().body("x".repeat(512 * 1024 + 1)), 413),
            (call(Method::POST, "/graphql").body("{}"), 415),
            (call(Method::DELETE, "/graphql"), 405),
            (call(Method::GET, "/nothing"), 404),
            (call(Method::GET, "/my-data"), 401),
            (call(Method::GET, "/health/ready"), 200),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), status);
            let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
            assert!(exposed.contains("retry-after") && exposed.contains("x-request-id"));
            responses.push(response);
        }
        let requested_headers = "apollographql-client-name,authorization,content-type,traceparent,x-anything";
        let preflight = call(Method::OPTIONS, "/graphql").header("access-control-request-method", "POST");
        let preflight = preflight.header("access-control-request-headers", requested_headers);
        let preflight = preflight.send().await.unwrap();
        assert_eq!(preflight.headers()["access-control-allow-headers"], requested_headers);
        assert_eq!(preflight.headers()["access-control-max-age"], "7200");
        responses.push(preflight);
        for response in responses {
            let allow_origin =
                response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(allow_origin, allowed.then_some(origin));
            assert!(!response.headers().contains_key("access-control-allow-credentials"));
        }
    }
    let webhook = http.post(format!("{own_origin}/webhook/stripe")).header("origin", "https://chat.example");
    let response = webhook.send().await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"), "webhooks have no CORS headers");
    app.stop().await;
}

#[tokio::test]
async fn the_response_to_an_unfinished_body_has_cors_headers() {
    let app = TestApp::start().await;
    let response = response_to(
        &app,
        b"POST /graphql HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:4173\r\nconnection: close\r\n\
          content-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    )
    .await;
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(response.contains("access-control-allow-origin: http://localhost:4173\r\n"), "{response}");
    app.stop().await;
}

/// Sends a request whose only header lines are these and `connection: close`, and returns the status of the response.
async fn status_of(app: &TestApp, request: &str, headers: &[&str]) -> u16 {
    let headers = headers.iter().fold(String::new(), |headers, header| headers + header + "\r\n");
    let response =
        response_to(app, format!("{request}\r\n{headers}connection: close\r\n\r\n").as_bytes()).await;
    response.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_rejected() {
    let app = TestApp::start().await;
    for path in ["/", "/graphql", "/my-data", "/health/live", "/nothing"] {
        let get = format!("GET {path} HTTP/1.1");
        assert_eq!(status_of(&app, &get, &[]).await, 400, "{path}");
        assert_eq!(status_of(&app, &get, &["host: localhost", "host: localhost"]).await, 400, "{path}");
        assert_eq!(status_of(&app, &get, &["host: local host"]).await, 400, "{path}");
    }
    assert_eq!(status_of(&app, "POST /webhook/stripe HTTP/1.1", &["content-length: 0"]).await, 400);
    assert_eq!(status_of(&app, "GET /health/live HTTP/1.0", &[]).await, 200);
    app.stop().await;
}

#[tokio::test]
async fn on_loopback_a_foreign_host_is_rejected_on_every_route() {
    let settings = ["--cors-origins=https://chat.example", "--frontend-url=https://shop.example/chat"];
    let app = TestApp::with_settings(&settings).await;
    let query = "GET /graphql?query=%7B__typename%7D HTTP/1.1";
    for request in [query, "GET / HTTP/1.1", "GET /my-data HTTP/1.1", "GET /nothing HTTP/1.1"] {
        assert_eq!(status_of(&app, request, &["host: evil.example:8000"]).await, 403, "{request}");
        // The origin equals the host, as with DNS rebinding: a page reaches a local server under the page's own host name.
        let same_origin = ["host: evil.example:8000", "origin: http://evil.example:8000"];
        assert_eq!(status_of(&app, request, &same_origin).await, 403, "{request}");
        let forwarded = ["host: evil.example", "x-forwarded-for: 127.0.0.1"];
        assert_eq!(status_of(&app, request, &forwarded).await, 403, "{request}: no proxy is trusted");
    }
    let headers = [("host", "evil.example:8000"), ("origin", "http://evil.example:8000")];
    assert!(Socket::open(app.address, "graphql-transport-ws", &headers).await.is_err());
    for host in ["localhost:1", "app.localhost", "127.0.0.1", "[::1]:9", "chat.example", "shop.example"] {
        assert_eq!(status_of(&app, query, &[&format!("host: {host}")]).await, 200, "{host}");
    }
    assert_eq!(status_of(&app, "GET /health/ready HTTP/1.1", &["host: 10.1.2.3"]).await, 200, "a probe");
    app.stop().await;
    let app = TestApp::with_settings(&["--trusted-proxies=127.0.0.1"]).await;
    let forwarded = ["host: chat.example", "x-forwarded-for: 198.51.100.1"];
    assert_eq!(status_of(&app, query, &forwarded).await, 200, "a trusted proxy forwards the public name");
    assert_eq!(status_of(&app, query, &["host: evil.example"]).await, 403, "DNS rebinding");
    app.stop().await;
}

#[tokio::test]
async fn the_websocket_response_spells_the_subprotocol_header_as_the_request() {
    let app = TestApp::start().await;
    for name in ["Sec-WebSocket-Protocol", "sec-websocket-protocol"] {
        let mut connection = TcpStream::connect(app.address).await.unwrap();
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {name}: graphql-transport-ws\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut response = vec![0; 4096];
        let length = timeout(TEST_TIMEOUT, connection.read(&mut response)).await.unwrap().unwrap();
        let response = String::from_utf8_lossy(&response[..length]).into_owned();
        assert!(response.starts_with("HTTP/1.1 101"), "{response}");
        assert!(response.contains(&format!("\r\n{name}: graphql-transport-ws\r\n")), "{response}");
    }
    app.stop().await;
}

#[tokio::test]
async fn warnings_that_any_client_can_cause_are_logged_once_a_minute() {
    let deployment = Deployment::new().await;
    let stripe = FakeStripe::start(pollux::clock::Clock::system()).await;
    let settings = stripe.environment();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut server = deployment.start_with(&[], &settings).await;
    let http = TestUser::anonymous(server.address).http;
    for _ in 0..30 {
        let webhook = http.post(format!("http://{}/webhook/stripe", server.address)).body("{}");
        assert_eq!(webhook.send().await.unwrap().status(), 400);
        let foreign = http.get(format!("http://{}/health/live", server.address));
        foreign.header("origin", "https://evil.example").send().await.unwrap();
    }
    server.terminate();
    let log = server.log_until("shutting down").await;
    let lines = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines("stripe webhook rejected"), 1, "{log:?}");
    assert_eq!(lines("origin rejected"), 1, "{log:?}");
    assert_eq!(lines("evil.example"), 1, "{log:?}");
    assert!(server.wait_for_exit().await);
}

#[tokio::test]
async fn a_peer_that_sends_no_pong_is_disconnected() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let unresponsive = user.socket().await;
    let mut responsive = user.socket().await;
    let started = Instant::now();
    let query_after_idling = async {
        // The client sends pongs while it waits for the next message.
        let idle = responsive.next_within(Duration::from_secs(110));
        let _ = timeout(Duration::from_secs(90), idle).await;
        responsive.subscribe("1", "{ __typename }", &json!({})).await;
        responsive.next().await.unwrap()["payload"].take()
    };
    let (disconnected_after, response) = tokio::join!(
        async {
            unresponsive.ignore_pings_until_closed().await;
            started.elapsed()
        },
        query_after_idling
    );
    assert!(disconnected_after >= Duration::from_mins(1), "{disconnected_after:?}");
    assert_eq!(response, json!({"data": {"__typename": "Query"}}), "a peer that sends pongs stays connected");
    app.stop().await;
}
