//! The client libraries that front-end developers use. Each of their examples in `clients/`, except those for [`caches`], signs
//! in, sends a message, follows the reply through a broken connection, stops another reply and exhausts the daily quota.

mod caches;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::{sync::mpsc, time::timeout};

use crate::support::{Gate, Script, TcpProxy, TestApp, requirements::require_clients, socket::TEST_TIMEOUT};

/// A running example and the lines of its output.
struct Example {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

fn clients_directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients"))
}

impl Example {
    fn start(file: &str, server: SocketAddr) -> Self {
        let mut command = Command::new(clients_directory().join("node_modules/.bin/tsx"));
        command
            .current_dir(clients_directory())
            .arg(file)
            .arg(format!("http://{server}/graphql"))
            .arg("+14155550123");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("tests/with-clients installs tsx");
        let (sender, lines) = mpsc::unbounded_channel();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || output.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    async fn next_line(&mut self) -> String {
        timeout(TEST_TIMEOUT, self.lines.recv())
            .await
            .expect("no output in time")
            .expect("the example has exited")
    }

    /// Waits for the example to exit with success.
    async fn wait_for_exit(mut self) {
        let rest = timeout(TEST_TIMEOUT, self.lines.recv()).await.expect("the example did not exit in time");
        assert_eq!(rest, None);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn assert_completes_the_scenario(file: &str) {
    let app = TestApp::with_settings(&["--basic-daily-limit=2"]).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    app.gemini.enqueue(Script::new().text("So far").hang());
    let proxy = TcpProxy::start(&format!("http://{}/", app.address)).await;
    let mut example = Example::start(file, proxy.address);
    assert_eq!(example.next_line().await, "text Half ", "{file}");
    proxy.disconnect();
    assert_eq!(example.next_line().await, "broken", "{file}");
    gate.release_one();
    proxy.restore();
    let mut output = example.next_line().await;
    // Attempts to reconnect may fail until the proxy forwards connections. The text must continue without repetition.
    while output == "broken" {
        output = example.next_line().await;
    }
    while output.starts_with("text ") {
        assert!("text Half and half".starts_with(&*output), "{file}: {output}");
        output = example.next_line().await;
    }
    assert_eq!(output, "ReplyCompleted Half and half", "{file}");
    assert_eq!(example.next_line().await, "ReplyCancelled So far", "{file}");
    assert_eq!(example.next_line().await, "QUOTA_EXCEEDED upgradeable false", "{file}");
    example.wait_for_exit().await;
    app.stop().await;
}

#[tokio::test]
async fn apollo_client_over_websocket_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("apollo.ts").await;
}

#[tokio::test]
async fn apollo_client_over_multipart_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("apollo-multipart.ts").await;
}

#[tokio::test]
async fn urql_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("urql.ts").await;
}

#[tokio::test]
async fn relay_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("relay.ts").await;
}

#[tokio::test]
async fn graphql_ws_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("graphql-ws.ts").await;
}

#[tokio::test]
async fn subscriptions_transport_ws_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("old.ts").await;
}

#[tokio::test]
async fn graphql_sse_completes_the_scenario() {
    require_clients!();
    assert_completes_the_scenario("sse.ts").await;
}

/// Runs Node in `clients/`. Returns its standard output, its standard error and whether it succeeded.
async fn run_node(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String, bool) {
    let mut command = Command::new("node");
    command.current_dir(clients_directory()).args(arguments).envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

#[tokio::test]
async fn a_failing_example_prints_the_error_in_one_line() {
    require_clients!();
    let app = TestApp::start().await;
    let url = app.url();
    // The listener is dropped at once, so nothing accepts connections at its address.
    let closed_address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = format!("http://{closed_address}/graphql");
    for file in [
        "apollo.ts",
        "apollo-multipart.ts",
        "apollo-cache.ts",
        "urql.ts",
        "relay.ts",
        "graphql-ws.ts",
        "old.ts",
        "sse.ts",
    ] {
        let tsx = clients_directory().join("node_modules/tsx/dist/cli.mjs");
        let run = async |arguments: &[&str]| {
            let (_, error, succeeded) =
                run_node(&[&[tsx.to_str().unwrap(), file], arguments].concat(), &[]).await;
            assert!(!succeeded && error.lines().count() == 1, "{file}: {error}");
            error
        };
        // The server has just sent a code to this number, so a request for another code is rate-limited.
        let number = app.user().await.phone_number;
        let error = run(&[&url, &number]).await;
        assert!(error.contains("Too many requests") && error.contains("(RATE_LIMITED)"), "{file}: {error}");
        let error = run(&[&url, "nonsense"]).await;
        assert!(error.contains("phoneNumber") && error.contains("(BAD_USER_INPUT)"), "{file}: {error}");
        let error = run(&[&unreachable, "+14155550123"]).await;
        // graphql-sse does not report the cause.
        assert!(error.contains("ECONNREFUSED") || error == "fetch failed\n", "{file}: {error}");
        let error = run(&[]).await;
        assert!(error.starts_with("usage: "), "{file}: {error}");
    }
    app.stop().await;
}

#[tokio::test]
async fn follow_mjs_prints_the_reply_and_reports_an_expired_token() {
    require_clients!();
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let script = include_str!("../../clients/follow.mjs").replace("localhost:8000", &app.address.to_string());
    // With --eval, the first argument takes the position of a script file's name.
    let follow = async |token: &str, chatroom: &str| {
        let environment = [("TOKEN", token), ("CHATROOM_ID", chatroom)];
        run_node(&["--input-type=module", "--eval", &script, "--", "follow.mjs", "hi"], &environment).await
    };
    assert_eq!(follow(&user.token, &chatroom.id).await, ("Yes.\n".to_owned(), String::new(), true));
    let rejected = serde_json::json!({"error": {"code": 400}});
    app.gemini.enqueue(Script::new().text("Half").event(&rejected));
    let (output, error, succeeded) = follow(&user.token, &chatroom.id).await;
    assert_eq!(
        (output.as_str(), succeeded),
        ("HalfThe model did not accept this conversation.\n", true),
        "{error}"
    );
    let (_, error, succeeded) = follow(&user.token, "nonsense").await;
    assert_eq!((error.as_str(), succeeded), ("The chatroom does not exist, or it is not yours.\n", false));
    app.advance(chrono::TimeDelta::minutes(16)).await;
    let (_, error, succeeded) = follow(&user.token, &chatroom.id).await;
    assert!(error.starts_with("TOKEN has expired or is not valid") && !succeeded, "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    app.stop().await;
}

#[tokio::test]
async fn all_graphql_over_http_audits_pass() {
    require_clients!();
    let app = TestApp::start().await;
    let url = app.url();
    let audit = move || {
        Command::new("node").current_dir(clients_directory()).args(["audit.mjs", &url]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(audit).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    app.stop().await;
}
