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
    assert_eq!(example.says().await, "QUOTA_EXCEEDED upgradeable true", "{file}");
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
