//! A Redis that answers and refuses writes is as good as none, and everything works as without it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{Gate, Script, TestApp, backend::redis_connection, process::Site, socket::PATIENCE};

/// A server of the test's own.
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
        let up = async { while client.get_multiplexed_async_connection().await.is_err() {} };
        timeout(PATIENCE, up).await.expect("Redis does not start");
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

async fn becomes(app: &TestApp, expected: &str) {
    let http = app.stranger().http;
    let ready = format!("http://{}/health/ready", app.address);
    let ready = async { while http.get(&ready).send().await.unwrap().text().await.unwrap() != expected {} };
    timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("it does not become {expected}"));
}

async fn works_without_writes(refuse: &str, accept: &str) {
    let mut redis = Redis::start().await;
    let app = TestApp::with_settings(&[&format!("--redis-url={}", redis.url)]).await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let user = app.user().await;
    let (room, other) = (user.room("x").await, user.room("y").await);
    let asked = room.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Before. ").await;

    redis.command(refuse).await;
    becomes(&app, "ready, without Redis\n").await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    let meanwhile = other.ask("and?").await;
    assert_eq!(user.read(&meanwhile.reply).await.text, "Yes.");
    assert_eq!(other.path().await.len(), 2);

    redis.command(accept).await;
    becomes(&app, "ready\n").await;
    app.signed_in("+14155550177").await;
    app.stop().await;
}

#[tokio::test]
async fn a_redis_out_of_memory_is_as_good_as_none() {
    works_without_writes("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0").await;
}

#[tokio::test]
async fn a_redis_that_became_a_replica_is_as_good_as_none() {
    works_without_writes("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE").await;
}

#[tokio::test]
async fn a_redis_without_enough_replicas_is_as_good_as_none() {
    works_without_writes("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0").await;
}

#[tokio::test]
async fn the_log_says_why_redis_is_not_used() {
    let mut redis = Redis::start().await;
    let site = Site::new().await;
    let mut process = site.start_with(&[], &[("REDIS_URL", redis.url.as_str())]).await;
    redis.command("CONFIG SET maxmemory 1").await;
    let line = process.says("Redis is unavailable").await;
    assert!(line.contains("maxmemory"), "{line}");
    redis.command("CONFIG SET maxmemory 0").await;
    process.says("Redis is available again").await;
    process.terminate();
    assert!(process.ended().await);
}
