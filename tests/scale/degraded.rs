//! Operation while Redis or PostgreSQL is down, and recovery without loss.

use pollux::config::Role;
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    Gate, Script, TcpProxy, TestApp, app::TestOptions, backend::redis_connection, code_of,
    requirements::require_servers, socket::TEST_TIMEOUT, user,
};

/// A node whose connections to PostgreSQL and Redis go through proxies.
struct ProxiedNode {
    /// Another node of the same installation, without proxies.
    direct: TestApp,
    app: TestApp,
    postgres: TcpProxy,
    redis: TcpProxy,
}

impl ProxiedNode {
    async fn start(role: Role, settings: &[&str]) -> Self {
        let direct = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
        Self::on(direct, role, settings).await
    }

    async fn on(direct: TestApp, role: Role, settings: &[&str]) -> Self {
        let (database, redis_url) =
            (&direct.backend.database_url, direct.backend.redis_url.as_ref().unwrap());
        let (postgres, redis) = (TcpProxy::start(database).await, TcpProxy::start(redis_url).await);
        let database = format!("--database-url={}", postgres.proxied_url(database));
        let redis_url = format!("--redis-url={}", redis.proxied_url(redis_url));
        let settings: Vec<&str> = settings.iter().copied().chain([database.as_str(), &redis_url]).collect();
        let app = direct.add_node(role, &settings).await;
        Self { direct, app, postgres, redis }
    }

    async fn stop(self) {
        self.app.stop().await;
        self.direct.stop().await;
    }

    async fn ready(&self) -> (u16, String) {
        let http = self.app.anonymous().http;
        let response = http.get(format!("http://{}/health/ready", self.app.address)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn wait_until_ready(&self, expected: &str) {
        let ready = async { while self.ready().await != (200, expected.to_owned()) {} };
        timeout(TEST_TIMEOUT, ready).await.unwrap();
    }
}

/// Checks that sending, reading and following work without Redis, and that text is live again after Redis has returned.
async fn works_without_redis(break_connections: impl Fn(&TcpProxy)) {
    let proxied = ProxiedNode::start(Role::All, &[]).await;
    let app = &proxied.app;
    let gate = Gate::closed();
    app.gemini.enqueue(
        Script::new().text("Before. ").wait(&gate).text("During. ").wait(&gate).text("After.").finish("STOP"),
    );
    let user = app.user().await;
    let (chatroom, other) = (user.create_chatroom("x").await, user.create_chatroom("y").await);
    let sent = chatroom.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Before. ").await;

    break_connections(&proxied.redis);
    proxied.wait_until_ready("ready, without Redis\n").await;
    gate.release_one();
    // Without Redis, the subscriber reads this text from the row.
    follower.read_until("During. ").await;
    let meanwhile = other.send("and?").await;
    assert_eq!(user.read(&meanwhile.reply).await.text, "Yes.");
    assert_eq!(other.branch().await.len(), 2);
    let rejected = app.anonymous().execute(user::SEND_OTP, json!({"phone": "+14155550199"})).await;
    assert_eq!(
        code_of(&rejected),
        "INTERNAL_SERVER_ERROR",
        "a call that a rate limit protects must fail if it cannot be counted"
    );

    proxied.redis.restore();
    proxied.wait_until_ready("ready\n").await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During. After.", 0));
    // This text arrives before it is saved in the row, whose cursor is still at the beginning. Thus it came through Redis.
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Live").wait(&gate).finish("STOP"));
    let sent = chatroom.send("again").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Live").await;
    assert_eq!(user.message(&sent.reply).await["cursor"], "1-0");
    gate.release_one();
    follower.read_to_end().await;
    drop(follower);
    proxied.stop().await;
}

#[tokio::test]
async fn a_disconnected_redis_only_slows_replies() {
    require_servers!();
    Box::pin(works_without_redis(TcpProxy::disconnect)).await;
}

#[tokio::test]
async fn an_unresponsive_redis_only_slows_replies() {
    require_servers!();
    Box::pin(works_without_redis(TcpProxy::stall)).await;
}

#[tokio::test]
async fn a_reply_end_not_published_during_an_outage_is_published_later() {
    require_servers!();
    let direct = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let proxied = ProxiedNode::on(direct, Role::Worker, &[]).await;
    let gate = Gate::closed();
    proxied.direct.gemini.enqueue(Script::new().text("Text").wait(&gate).finish("STOP"));
    let user = proxied.direct.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Text").await;
    proxied.redis.disconnect();
    let disconnected = async { while proxied.app.chatrooms.signals.check().await.is_ok() {} };
    timeout(TEST_TIMEOUT, disconnected).await.unwrap();
    gate.release_one();
    let completed = async { while user.message(&sent.reply).await["status"] != "COMPLETED" {} };
    timeout(TEST_TIMEOUT, completed).await.unwrap();
    proxied.redis.restore();
    // The API node's own connection to Redis never broke, so the API node receives the end only if the worker publishes it.
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    drop(follower);
    proxied.stop().await;
}

#[tokio::test]
async fn after_redis_is_flushed_the_running_reply_is_appended_from_its_beginning() {
    require_servers!();
    let app = TestApp::start().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Before. ").wait(&gate).text("After. ").wait(&gate).finish("STOP"));
    let user = app.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Before. ").await;
    let mut redis = redis_connection(app.backend.redis_url.as_ref().unwrap()).await;
    let _: () = redis::cmd("FLUSHDB").query_async(&mut redis).await.unwrap();
    gate.release_one();
    follower.read_until("After. ").await;
    let mut late = user.follow(&sent.reply, None).await;
    late.read_until("After. ").await;
    gate.release_one();
    for follower in [&mut follower, &mut late] {
        assert_eq!(follower.read_to_end().await, "ReplyCompleted");
        assert_eq!((follower.text.as_str(), follower.restarts), ("Before. After. ", 0));
    }
    app.stop().await;
}

#[tokio::test]
async fn replies_running_during_a_database_outage_are_stored_afterwards() {
    require_servers!();
    let proxied = ProxiedNode::start(Role::All, &[]).await;
    let app = &proxied.app;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Before. ").await;

    proxied.postgres.disconnect();
    let (status, _) = proxied.ready().await;
    assert_eq!(status, 503);
    gate.release_one();
    // Live text does not depend on the database.
    follower.read_until("During.").await;
    let rejected = chatroom.try_send(json!({"content": "lost?", "idempotencyKey": "k"})).await;
    assert_eq!(code_of(&rejected.err().unwrap()), "INTERNAL_SERVER_ERROR");

    proxied.postgres.restore();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    let sent = chatroom.try_send(json!({"content": "lost?", "idempotencyKey": "k"})).await.unwrap();
    assert_eq!(sent.used, 2, "a rejected message is not charged");
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    proxied.stop().await;
}

#[tokio::test]
async fn a_partitioned_worker_cannot_overwrite_its_successor() {
    require_servers!();
    let direct = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let proxied = ProxiedNode::on(direct, Role::Worker, &["--worker-lease=2"]).await;
    let gate = Gate::closed();
    let partitioned_text =
        Script::new().text("Partitioned ").wait(&gate).text("worker's text").finish("STOP");
    proxied.direct.gemini.enqueue(partitioned_text);
    let user = proxied.direct.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Partitioned ").await;

    proxied.postgres.stall();
    proxied.redis.stall();
    let successor_gate = Gate::closed();
    let successors_text =
        Script::new().text("Successor").wait(&successor_gate).text(", whole").finish("STOP");
    proxied.direct.gemini.enqueue(successors_text);
    let successor = proxied.direct.add_node(Role::Worker, &[]).await;
    follower.read_until("Successor").await;
    gate.release_one();
    proxied.postgres.restore();
    proxied.redis.restore();
    // Another reply gives the partitioned worker time to reconnect and to notice that it has lost its lease.
    let next = user.create_chatroom("y").await.send("hi").await;
    assert_eq!(user.read(&next.reply).await.text, "Yes.");
    successor_gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Successor, whole", 1));
    assert_eq!(user.message(&sent.reply).await["content"], "Successor, whole");
    successor.stop().await;
    proxied.stop().await;
}

/// Locks all chatrooms until the transaction ends that executes it.
const LOCK_CHATROOMS: &str = "UPDATE chatrooms SET version = version";

#[tokio::test]
async fn a_transaction_is_retried_when_its_connection_breaks() {
    require_servers!();
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let other_connection = Database::connect(&app.backend.database_url).await.unwrap();
    let lock = other_connection.begin().await.unwrap();
    lock.execute_unprepared(LOCK_CHATROOMS).await.unwrap();
    // Terminates the session of `sendMessage`, which waits for the lock.
    let terminate_waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let terminate_session = async {
        let terminated = async {
            while other_connection.execute_unprepared(terminate_waiting).await.unwrap().rows_affected() == 0 {
            }
        };
        timeout(TEST_TIMEOUT, terminated).await.unwrap();
        lock.rollback().await.unwrap();
    };
    let (sent, ()) = tokio::join!(chatroom.send("hi"), terminate_session);
    assert_eq!(sent.used, 1);
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn a_node_paused_in_a_transaction_loses_its_locks() {
    require_servers!();
    // PostgreSQL ends a session whose transaction is idle for five seconds (`idle_in_transaction_session_timeout`).
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let lock = app.chatrooms.db.begin().await.unwrap();
    lock.execute_unprepared(LOCK_CHATROOMS).await.unwrap();
    let sent = chatroom.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    drop(lock);
    app.stop().await;
}

#[tokio::test]
async fn a_message_committed_as_its_connection_breaks_is_stored_once_and_answered() {
    require_servers!();
    // One connection, so that the second message's statement is already prepared on it; another node runs the worker.
    let proxied = ProxiedNode::on(TestApp::start().await, Role::Api, &["--database-connections=1"]).await;
    let user = proxied.app.user().await;
    let chatroom = user.create_chatroom("x").await;
    user.read(&chatroom.send("first").await.reply).await;
    // PostgreSQL still receives statements, but the node does not receive its responses.
    proxied.postgres.silence();
    let send = chatroom.send("hi");
    let disconnect_after_commit = async {
        let stored = sea_orm::Statement::from_string(
            sea_orm::DbBackend::Postgres,
            "SELECT 1 FROM messages WHERE content = 'hi'",
        );
        let db = proxied.direct.chatrooms.db.read();
        while db.query_one_raw(stored.clone()).await.unwrap().is_none() {}
        proxied.postgres.disconnect();
        while proxied.ready().await.0 == 200 {}
        proxied.postgres.restore();
    };
    let (sent, ()) =
        timeout(TEST_TIMEOUT, futures_util::future::join(send, disconnect_after_commit)).await.unwrap();
    assert_eq!(chatroom.branch().await.len(), 4);
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    let usage = user.data("{ me { usage { used } } }", json!({})).await;
    assert_eq!(usage["me"]["usage"]["used"], 2);
    proxied.stop().await;
}

#[tokio::test]
async fn idle_connections_lost_without_an_error_delay_a_query_by_at_most_the_statement_timeout() {
    require_servers!();
    let proxied = ProxiedNode::start(Role::Api, &["--database-statement-timeout=2"]).await;
    let user = proxied.app.user().await;
    user.data("{ me { fullName } }", json!({})).await;
    proxied.postgres.stall();
    // A connection that was idle for more than a second is tested before its next use. The pool measures this with tokio's clock.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    tokio::time::resume();
    let response = timeout(TEST_TIMEOUT, user.execute("{ me { fullName } }", json!({}))).await.unwrap();
    assert_eq!(code_of(&response), "INTERNAL_SERVER_ERROR");
    proxied.postgres.restore();
    proxied.wait_until_ready("ready\n").await;
    user.data("{ me { fullName } }", json!({})).await;
    proxied.stop().await;
}
