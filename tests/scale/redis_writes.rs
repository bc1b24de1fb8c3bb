//! A Redis that responds but rejects writes is treated as down.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{
    Gate, Script, TestApp, backend::redis_connection, process::Deployment, requirements::require_servers,
    socket::TEST_TIMEOUT,
};

/// A Redis process of one test, whose settings the test changes.
struct Redis {
    url: String,
    server: Child,
    connection: MultiplexedConnection,
    _directory: TempDir,
}

impl Redis {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let mut server = Command::new("redis-server");
        server.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
        let server = server.current_dir(&directory).stdout(Stdio::null()).spawn().unwrap();
        let url = format!("redis://127.0.0.1:{port}/0");
        let client = redis::Client::open(url.as_str()).unwrap();
        let started = async { while client.get_multiplexed_async_connection().await.is_err() {} };
        timeout(TEST_TIMEOUT, started).await.expect("Redis did not start in time");
        let connection = redis_connection(&url).await;
        Self { url, server, connection, _directory: directory }
    }

    async fn command(&mut self, words: &str) {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.exec_async(&mut self.connection).await.unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

async fn wait_for_ready_status(app: &TestApp, expected: &str) {
    let http = app.anonymous().http;
    let ready = format!("http://{}/health/ready", app.address);
    let ready = async { while http.get(&ready).send().await.unwrap().text().await.unwrap() != expected {} };
    timeout(TEST_TIMEOUT, ready).await.unwrap_or_else(|_| panic!("/health/ready did not become {expected}"));
}

/// Checks that a reply continues while Redis rejects writes, and that the node uses Redis after it accepts them again.
async fn works_without_writes(stop_writes: &str, allow_writes: &str) {
    let mut redis = Redis::start().await;
    let app = TestApp::with_settings(&[&format!("--redis-url={}", redis.url)]).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let user = app.user().await;
    let (chatroom, other) = (user.create_chatroom("x").await, user.create_chatroom("y").await);
    let sent = chatroom.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Before. ").await;

    redis.command(stop_writes).await;
    wait_for_ready_status(&app, "ready, without Redis\n").await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    let meanwhile = other.send("and?").await;
    assert_eq!(user.read(&meanwhile.reply).await.text, "Yes.");
    assert_eq!(other.branch().await.len(), 2);

    redis.command(allow_writes).await;
    wait_for_ready_status(&app, "ready\n").await;
    // Signing in fails unless Redis counts its rate limits.
    app.sign_in_as("+14155550177").await;
    app.stop().await;
}

#[tokio::test]
async fn a_redis_out_of_memory_is_treated_as_down() {
    require_servers!();
    works_without_writes("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0").await;
}

#[tokio::test]
async fn a_redis_that_became_a_replica_is_treated_as_down() {
    require_servers!();
    works_without_writes("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE").await;
}

#[tokio::test]
async fn a_redis_without_enough_replicas_is_treated_as_down() {
    require_servers!();
    works_without_writes("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0").await;
}

#[tokio::test]
async fn the_log_names_why_redis_is_unavailable() {
    require_servers!();
    let mut redis = Redis::start().await;
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[("REDIS_URL", redis.url.as_str())]).await;
    redis.command("CONFIG SET maxmemory 1").await;
    let line = process.wait_for_log("Redis is unavailable").await;
    assert!(line.contains("maxmemory"), "{line}");
    redis.command("CONFIG SET maxmemory 0").await;
    process.wait_for_log("Redis is available again").await;
    process.terminate();
    assert!(process.wait_for_exit().await);
}
