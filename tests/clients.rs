//! What front-end developers bring: each example of `clients/` signs in, asks, follows a reply through a cut, stops
//! another and uses up the day.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::{sync::mpsc, time::timeout};

use crate::support::{Cable, Gate, Script, TestApp, socket::PATIENCE};

/// A running example, and what it says line by line.
struct Example {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

fn clients() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients"))
}

impl Example {
    fn start(file: &str, server: SocketAddr) -> Self {
        let mut command = Command::new(clients().join("node_modules/.bin/tsx"));
        command.current_dir(clients()).arg(file).arg(format!("http://{server}/graphql")).arg("+14155550123");
        let mut child = command.stdout(Stdio::piped()).spawn().expect("tests/run installs the clients");
        let (say, lines) = mpsc::unbounded_channel();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || said.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { child, lines }
    }

    async fn says(&mut self) -> String {
        timeout(PATIENCE, self.lines.recv()).await.expect("it says nothing").expect("it has ended")
    }

    /// Waits for it to end by itself, and well.
    async fn ended(mut self) {
        let silent = timeout(PATIENCE, self.lines.recv()).await.expect("it does not end");
        assert_eq!(silent, None);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn talks(file: &str) {
    let app = TestApp::with_settings(&["--basic-daily-limit=2"]).await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    app.gemini.answers(Script::new().text("So far").hang());
    let cable = Cable::to(&format!("http://{}/", app.address)).await;
    let mut example = Example::start(file, cable.address);
    assert_eq!(example.says().await, "text Half ", "{file}");
    cable.cut();
    assert_eq!(example.says().await, "broken", "{file}");
    gate.open();
    cable.mend();
    let mut said = example.says().await;
    // Until the cable is mended it breaks anew; and no text comes twice.
    while said == "broken" {
        said = example.says().await;
    }
    while said.starts_with("text ") {
        assert!("text Half and half".starts_with(&*said), "{file}: {said}");
        said = example.says().await;
    }
    assert_eq!(said, "ReplyCompleted Half and half", "{file}");
    assert_eq!(example.says().await, "ReplyCancelled So far", "{file}");
    assert_eq!(example.says().await, "QUOTA_EXCEEDED upgradeable false", "{file}");
    example.ended().await;
    app.stop().await;
}

#[tokio::test]
async fn apollo_client_talks_over_a_websocket() {
    talks("apollo.ts").await;
}

#[tokio::test]
async fn apollo_client_talks_by_multipart_subscriptions() {
    talks("apollo-multipart.ts").await;
}

#[tokio::test]
async fn urql_talks() {
    talks("urql.ts").await;
}

#[tokio::test]
async fn relay_talks() {
    talks("relay.ts").await;
}

#[tokio::test]
async fn graphql_ws_talks() {
    talks("graphql-ws.ts").await;
}

#[tokio::test]
async fn clients_of_the_old_subprotocol_talk() {
    talks("old.ts").await;
}

#[tokio::test]
async fn graphql_sse_talks() {
    talks("sse.ts").await;
}

/// Runs Node in `clients/`, and returns what it printed and whether it succeeded.
async fn node(arguments: &[&str], environment: &[(&str, &str)]) -> (String, String, bool) {
    let mut command = Command::new("node");
    command.current_dir(clients()).args(arguments).envs(environment.iter().copied());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.success())
}

#[tokio::test]
async fn an_example_that_fails_prints_one_line_that_says_why() {
    let app = TestApp::start().await;
    let (url, closed) =
        (app.url(), std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let nowhere = format!("http://{closed}/graphql");
    for file in
        ["apollo.ts", "apollo-multipart.ts", "urql.ts", "relay.ts", "graphql-ws.ts", "old.ts", "sse.ts"]
    {
        let tsx = clients().join("node_modules/tsx/dist/cli.mjs");
        let run = async |arguments: &[&str]| {
            let (_, error, succeeded) =
                node(&[&[tsx.to_str().unwrap(), file], arguments].concat(), &[]).await;
            assert!(!succeeded && error.lines().count() == 1, "{file}: {error}");
            error
        };
        // Its code was sent just now.
        let number = app.user().await.phone_number;
        let error = run(&[&url, &number]).await;
        assert!(error.contains("Too many requests") && error.contains("(RATE_LIMITED)"), "{file}: {error}");
        let error = run(&[&url, "nonsense"]).await;
        assert!(error.contains("phoneNumber") && error.contains("(BAD_USER_INPUT)"), "{file}: {error}");
        let error = run(&[&nowhere, "+14155550123"]).await;
        // graphql-sse keeps no more than that.
        assert!(error.contains("ECONNREFUSED") || error == "fetch failed\n", "{file}: {error}");
        let error = run(&[]).await;
        assert!(error.starts_with("usage: "), "{file}: {error}");
    }
    app.stop().await;
}

#[tokio::test]
async fn follow_mjs_prints_the_reply_and_says_when_its_token_has_expired() {
    let app = TestApp::at_a_standstill().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let script = include_str!("../clients/follow.mjs").replace("localhost:8000", &app.address.to_string());
    // The first argument after a script that is no file stands where a file's second does.
    let follow = async |token: &str, room: &str| {
        let environment = [("TOKEN", token), ("ROOM", room)];
        node(&["--input-type=module", "--eval", &script, "--", "follow.mjs", "hi"], &environment).await
    };
    assert_eq!(follow(&user.token, &room.id).await, ("Yes.\n".to_owned(), String::new(), true));
    let rejected = serde_json::json!({"error": {"code": 400}});
    app.gemini.answers(Script::new().text("Half").event(&rejected));
    let (said, error, succeeded) = follow(&user.token, &room.id).await;
    assert_eq!(
        (said.as_str(), succeeded),
        ("HalfThe model did not accept this conversation.\n", true),
        "{error}"
    );
    let (_, error, succeeded) = follow(&user.token, "nonsense").await;
    assert_eq!((error.as_str(), succeeded), ("The chatroom does not exist, or it is not yours.\n", false));
    app.pass(chrono::TimeDelta::minutes(16)).await;
    let (_, error, succeeded) = follow(&user.token, &room.id).await;
    assert!(error.starts_with("TOKEN has expired or is not valid") && !succeeded, "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    app.stop().await;
}

#[tokio::test]
async fn every_audit_of_graphql_over_http_passes() {
    let app = TestApp::start().await;
    let url = app.url();
    let audit =
        move || Command::new("node").current_dir(clients()).args(["audit.mjs", &url]).output().unwrap();
    let done = tokio::task::spawn_blocking(audit).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    app.stop().await;
}
