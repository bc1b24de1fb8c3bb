//! What works while a part is gone, and that nothing is lost when it comes back.

use pollux::config::Role;
use sea_orm::{ConnectionTrait, Database, TransactionTrait};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    Cable, Gate, Script, TestApp, app::Wishes, backend::redis_connection, code_of, socket::PATIENCE, user,
};

/// A server whose ways to PostgreSQL and to Redis can be cut, beside one that only holds the database.
struct Cabled {
    base: TestApp,
    app: TestApp,
    postgres: Cable,
    redis: Cable,
}

impl Cabled {
    async fn start(role: Role, settings: &[&str]) -> Self {
        let base = TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await;
        Self::beside(base, role, settings).await
    }

    async fn beside(base: TestApp, role: Role, settings: &[&str]) -> Self {
        let (database, redis_url) = (&base.backend.database_url, base.backend.redis_url.as_ref().unwrap());
        let (postgres, redis) = (Cable::to(database).await, Cable::to(redis_url).await);
        let database = format!("--database-url={}", postgres.instead_of(database));
        let redis_url = format!("--redis-url={}", redis.instead_of(redis_url));
        let settings: Vec<&str> = settings.iter().copied().chain([database.as_str(), &redis_url]).collect();
        let app = base.beside(role, &settings).await;
        Self { base, app, postgres, redis }
    }

    async fn stop(self) {
        self.app.stop().await;
        self.base.stop().await;
    }

    async fn ready(&self) -> (u16, String) {
        let http = self.app.stranger().http;
        let answer = http.get(format!("http://{}/health/ready", self.app.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn is_ready(&self, says: &str) {
        let ready = async { while self.ready().await != (200, says.to_owned()) {} };
        timeout(PATIENCE, ready).await.unwrap();
    }
}

/// Sending, reading and following work without Redis, and it is live again when Redis is back.
async fn works_without_redis(lose: impl Fn(&Cable)) {
    let cabled = Cabled::start(Role::All, &[]).await;
    let app = &cabled.app;
    let gate = Gate::closed();
    app.gemini.answers(
        Script::new().text("Before. ").wait(&gate).text("During. ").wait(&gate).text("After.").finish("STOP"),
    );
    let user = app.user().await;
    let (room, other) = (user.room("x").await, user.room("y").await);
    let asked = room.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Before. ").await;

    lose(&cabled.redis);
    cabled.is_ready("ready, without Redis\n").await;
    gate.open();
    // By way of the row.
    follower.until("During. ").await;
    let meanwhile = other.ask("and?").await;
    assert_eq!(user.read(&meanwhile.reply).await.text, "Yes.");
    assert_eq!(other.path().await.len(), 2);
    let uncounted = app.stranger().ask_api(user::SEND_OTP, json!({"phone": "+14155550199"})).await;
    assert_eq!(code_of(&uncounted), "INTERNAL_SERVER_ERROR", "what costs money is not done uncounted");

    cabled.redis.mend();
    cabled.is_ready("ready\n").await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During. After.", 0));
    // And live: no text comes by the row within its first two seconds.
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Live").wait(&gate).finish("STOP"));
    let asked = room.ask("again").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Live").await;
    assert_eq!(user.message(&asked.reply).await["cursor"], "1-0");
    gate.open();
    follower.until_the_end().await;
    drop(follower);
    cabled.stop().await;
}

#[tokio::test]
async fn a_redis_that_is_gone_costs_nothing_but_speed() {
    works_without_redis(Cable::cut).await;
}

#[tokio::test]
async fn a_redis_that_says_nothing_costs_nothing_but_speed() {
    works_without_redis(Cable::silence).await;
}

#[tokio::test]
async fn an_end_that_a_worker_could_not_announce_is_announced_later() {
    let base = TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await;
    let cabled = Cabled::beside(base, Role::Worker, &[]).await;
    let gate = Gate::closed();
    cabled.base.gemini.answers(Script::new().text("Text").wait(&gate).finish("STOP"));
    let user = cabled.base.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Text").await;
    cabled.redis.cut();
    let is_gone = async { while cabled.app.chat.signals.check().await.is_ok() {} };
    timeout(PATIENCE, is_gone).await.unwrap();
    gate.open();
    let is_whole = async { while user.message(&asked.reply).await["status"] != "COMPLETED" {} };
    timeout(PATIENCE, is_whole).await.unwrap();
    cabled.redis.mend();
    // Its node's own way to Redis was never cut, so that nothing tells it to look.
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    drop(follower);
    cabled.stop().await;
}

#[tokio::test]
async fn a_redis_that_has_lost_everything_gets_it_again() {
    let app = TestApp::start().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Before. ").wait(&gate).text("After. ").wait(&gate).finish("STOP"));
    let user = app.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Before. ").await;
    let mut redis = redis_connection(app.backend.redis_url.as_ref().unwrap()).await;
    let _: () = redis::cmd("FLUSHDB").query_async(&mut redis).await.unwrap();
    gate.open();
    follower.until("After. ").await;
    let mut late = user.follow(&asked.reply, None).await;
    late.until("After. ").await;
    gate.open();
    for follower in [&mut follower, &mut late] {
        assert_eq!(follower.until_the_end().await, "ReplyCompleted");
        assert_eq!((follower.text.as_str(), follower.restarts), ("Before. After. ", 0));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_database_that_comes_back_has_every_running_reply() {
    let cabled = Cabled::start(Role::All, &[]).await;
    let app = &cabled.app;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let user = app.user().await;
    let room = user.room("x").await;
    let asked = room.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Before. ").await;

    cabled.postgres.cut();
    let (status, _) = cabled.ready().await;
    assert_eq!(status, 503);
    gate.open();
    // Live text does not pass through the database.
    follower.until("During.").await;
    let refused = room.try_ask(json!({"content": "lost?", "idempotencyKey": "k"})).await;
    assert_eq!(code_of(&refused.err().unwrap()), "INTERNAL_SERVER_ERROR");

    cabled.postgres.mend();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    let sent = room.try_ask(json!({"content": "lost?", "idempotencyKey": "k"})).await.unwrap();
    assert_eq!(sent.used, 2, "what was refused took nothing");
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    cabled.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_cut_off_writes_nothing_over_another() {
    let base = TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await;
    let cabled = Cabled::beside(base, Role::Worker, &["--worker-lease=2"]).await;
    let gate = Gate::closed();
    let cut_off = Script::new().text("Of the one ").wait(&gate).text("that was cut off").finish("STOP");
    cabled.base.gemini.answers(cut_off);
    let user = cabled.base.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Of the one ").await;

    cabled.postgres.silence();
    cabled.redis.silence();
    let other_gate = Gate::closed();
    let other = Script::new().text("Of the other").wait(&other_gate).text(", whole").finish("STOP");
    cabled.base.gemini.answers(other);
    let other = cabled.base.beside(Role::Worker, &[]).await;
    follower.until("Of the other").await;
    gate.open();
    cabled.postgres.mend();
    cabled.redis.mend();
    // The cut-off one has heard that it lost when it claims again.
    let next = user.room("y").await.ask("hi").await;
    assert_eq!(user.read(&next.reply).await.text, "Yes.");
    other_gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Of the other, whole", 1));
    assert_eq!(user.message(&asked.reply).await["content"], "Of the other, whole");
    other.stop().await;
    cabled.stop().await;
}

/// Takes the locks of all rooms.
const TAKE_ROOMS: &str = "UPDATE chatrooms SET version = version";

#[tokio::test]
async fn a_transaction_whose_connection_breaks_is_run_anew() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let other = Database::connect(&app.backend.database_url).await.unwrap();
    let busy = other.begin().await.unwrap();
    busy.execute_unprepared(TAKE_ROOMS).await.unwrap();
    let waits = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let breaking = async {
        let broken = async { while other.execute_unprepared(waits).await.unwrap().rows_affected() == 0 {} };
        timeout(PATIENCE, broken).await.unwrap();
        busy.rollback().await.unwrap();
    };
    let (asked, ()) = tokio::join!(room.ask("hi"), breaking);
    assert_eq!(asked.used, 1);
    assert_eq!(user.read(&asked.reply).await.text, "Yes.");
    app.stop().await;
}

#[tokio::test]
async fn a_node_that_stands_still_in_a_transaction_keeps_no_lock() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let busy = app.chat.db.begin().await.unwrap();
    busy.execute_unprepared(TAKE_ROOMS).await.unwrap();
    let asked = room.ask("hi").await;
    assert_eq!(user.read(&asked.reply).await.text, "Yes.");
    drop(busy);
    app.stop().await;
}
