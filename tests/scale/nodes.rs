//! Several nodes of one installation: a change on one node takes effect on all.

use chrono::TimeDelta;
use futures_util::{StreamExt, future::join_all};
use migration::{Migrator, MigratorTrait};
use pollux::{
    config::Role,
    ports::signals::Topic,
    store::{
        Db,
        jobs::{self, ClaimTerms},
    },
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, TransactionTrait};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Backend, Gate, Script, TestApp, TestUser,
    app::{TestOptions, config},
    billing::buy_pro_after_the_daily_quota,
    code_of,
    requirements::require_servers,
    socket::TEST_TIMEOUT,
    stripe::Fault,
    user,
};

async fn start_api() -> TestApp {
    TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await
}

/// Starts a worker of the same installation, whose leases do not expire during the test.
async fn start_worker(node: &TestApp) -> TestApp {
    node.add_node(Role::Worker, &["--worker-lease=3600"]).await
}

/// The same user, connected to another node.
fn on_node(user: &TestUser, node: &TestApp) -> TestUser {
    TestUser { address: node.address, ..user.clone() }
}

#[tokio::test]
async fn a_subscriber_on_another_node_receives_the_workers_reply() {
    require_servers!();
    let node_a = start_api().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    let worker = start_worker(&node_a).await;
    let gate = Gate::closed();
    node_a.gemini.enqueue(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let user = node_a.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = on_node(&user, &node_b).follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "Half and half");
    for node in [node_a, node_b, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn stopping_from_another_node_cancels_the_workers_reply() {
    require_servers!();
    let node_a = start_api().await;
    let worker = start_worker(&node_a).await;
    node_a.gemini.enqueue(Script::new().text("So far").hang());
    let user = node_a.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("So far").await;
    assert_eq!(user.stop(&sent.reply).await, json!({"status": "CANCELLED", "content": "So far"}));
    for node in [node_a, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn chatroom_events_reach_subscribers_on_every_node() {
    require_servers!();
    let node_a = start_api().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    let worker = start_worker(&node_a).await;
    let user = node_a.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut socket = on_node(&user, &node_b).socket().await;
    let follow =
        "subscription($id: ID!) { chatroomEvents(chatroomId: $id, after: \"0\") { change { __typename } } }";
    socket.subscribe("1", follow, &json!({ "id": chatroom.id })).await;
    let mut received = Vec::new();
    while received.last().is_none_or(|last| last != "ReplyCompleted") {
        let change = &socket.next().await.unwrap()["payload"]["data"]["chatroomEvents"]["change"];
        received.push(change["__typename"].as_str().unwrap().to_owned());
        if received == ["ChatroomUpdated"] {
            // The subscription is active, so it must receive the events of this message.
            chatroom.send("hi").await;
        }
    }
    assert_eq!(received[1..3], ["MessageAdded", "MessageAdded"], "{received:?}");
    for node in [node_a, node_b, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_session_ended_on_one_node_closes_its_sockets_on_all() {
    require_servers!();
    let node_a = start_api().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    let user = node_a.user().await;
    let mut socket = on_node(&user, &node_b).socket().await;
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(socket.close_code().await, 4403);
    for node in [node_a, node_b] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_session_ended_on_one_node_is_rejected_on_another_when_its_signal_arrives() {
    require_servers!();
    let node_a = TestApp::with_stopped_clock().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    let user = node_a.user().await;
    let user_on_b = on_node(&user, &node_b);
    let session = user_on_b.data("{ sessions { id } }", json!({})).await["sessions"][0]["id"].clone();
    let topic = Topic::Session(serde_json::from_value(session).unwrap());
    let mut signals = node_b.chatrooms.signals.subscribe(topic).await;
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    signals.next().await;
    assert_eq!(user_on_b.data("{ me { id } }", json!({})).await, json!({ "me": null }));
    for node in [node_a, node_b] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_write_on_one_node_invalidates_cached_lists_on_all() {
    require_servers!();
    let node_a = start_api().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    let user = node_a.user().await;
    let chatroom_count = async |node: &TestApp| {
        let data = on_node(&user, node).data("{ chatrooms { nodes { title } } }", json!({})).await;
        data["chatrooms"]["nodes"].as_array().unwrap().len()
    };
    for chatrooms in 1..4 {
        user.create_chatroom("x").await;
        assert_eq!((chatroom_count(&node_b).await, chatroom_count(&node_a).await), (chatrooms, chatrooms));
    }
    for node in [node_a, node_b] {
        node.stop().await;
    }
}

#[tokio::test]
async fn rate_limits_are_shared_by_all_nodes() {
    require_servers!();
    let node_a = TestApp::with_stopped_clock().await;
    let node_b = node_a.add_node(Role::Api, &[]).await;
    for (round, node) in [&node_a, &node_b, &node_a, &node_b, &node_a].into_iter().enumerate() {
        let sent = node.anonymous().execute(user::SEND_OTP, json!({"phone": "+14155550123"})).await;
        assert!(sent.get("errors").is_none(), "{round}: {sent}");
        node_a.advance(chrono::TimeDelta::seconds(30)).await;
    }
    let sixth = node_b.anonymous().execute(user::SEND_OTP, json!({"phone": "+14155550123"})).await;
    assert_eq!(code_of(&sixth), "RATE_LIMITED");
    for node in [node_a, node_b] {
        node.stop().await;
    }
}

#[tokio::test]
async fn workers_claiming_concurrently_exceed_no_users_limit() {
    require_servers!();
    let node_a = start_api().await;
    for _ in 0..20 {
        let user = node_a.user().await;
        for title in ["a", "b", "c", "d", "e"] {
            user.create_chatroom(title).await.send("hi").await;
        }
        let now = node_a.clock.now();
        let terms =
            ClaimTerms { now, leased_until: now + TimeDelta::hours(1), limit: 16, basic_cap: 2, pro_cap: 5 };
        let claims = join_all((0..8).map(async |_| jobs::claim(&node_a.chatrooms.db, terms).await.unwrap()));
        // Meanwhile the order of the queue changes.
        let move_to_front = "UPDATE jobs SET run_at = (SELECT min(run_at) FROM jobs) - interval '1 second'
                     WHERE id = (SELECT id FROM jobs WHERE leased_until IS NULL ORDER BY run_at DESC LIMIT 1)";
        let reordering = async {
            for _ in 0..8 {
                node_a.chatrooms.db.write().execute_unprepared(move_to_front).await.unwrap();
            }
        };
        let (claims, ()) = tokio::join!(claims, reordering);
        assert_eq!(claims.concat().len(), 2, "the limit of a Basic user");
    }
    node_a.shut_down().await;
}

#[tokio::test]
async fn nodes_starting_together_migrate_once() {
    require_servers!();
    let directory = tempfile::TempDir::new().unwrap();
    let backend = Backend::create(directory.path()).await;
    let database = Database::connect(&backend.database_url).await.unwrap();
    Migrator::down(&database, None).await.unwrap();
    let settings = config(&[&format!("--database-url={}", backend.database_url)]).database;
    let nodes = join_all((0..4).map(async |_| Db::open(&settings).await.unwrap().migrate().await)).await;
    assert!(nodes.iter().all(Result::is_ok), "{nodes:?}");
    database.execute_unprepared("SELECT * FROM jobs").await.unwrap();
}

#[tokio::test]
async fn a_subscription_bought_on_one_node_takes_effect_on_another() {
    require_servers!();
    let node = async |role, peer| {
        TestApp::with(TestOptions { billing: true, role: Some(role), peer, ..TestOptions::default() }).await
    };
    let node_a = node(Role::Api, None).await;
    let node_b = node(Role::Api, Some(&node_a)).await;
    let worker = node(Role::Worker, Some(&node_a)).await;
    buy_pro_after_the_daily_quota(&node_a, &node_b).await;
    for node in [node_a, node_b, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_stale_stripe_sync_does_not_overwrite_a_newer_one() {
    require_servers!();
    let node = async |role, peer| {
        TestApp::with(TestOptions { billing: true, role: Some(role), peer, ..TestOptions::default() }).await
    };
    let node_a = node(Role::Api, None).await;
    let worker = node(Role::Worker, Some(&node_a)).await;
    let user = node_a.user().await;
    let session = user.start_checkout(Value::Null).await.unwrap();
    let (subscription, events) = node_a.stripe.complete_checkout(&session);
    node_a.stripe.update_subscription(&subscription, "invoice.payment_failed", |object| {
        object["status"] = json!("incomplete");
    });
    let gate = Gate::closed();
    let before = node_a.stripe.calls("GET /v1/subscriptions").len();
    // The first call returns the checkout without a delay. The second returns an old state of the subscription, late.
    node_a.stripe.enqueue_fault(Fault::DelayResponse(gate_open_for_one_call()));
    node_a.stripe.enqueue_fault(Fault::DelayResponse(gate.clone()));
    let late_sync = async {
        assert_eq!(user.checkout_status(&session).await, "COMPLETE");
    };
    let meanwhile = async {
        node_a.stripe.wait_for_calls("GET /v1/subscriptions", before + 1).await;
        node_a.stripe.update_subscription(&subscription, "invoice.paid", |object| {
            object["status"] = json!("active");
        });
        assert_eq!(node_a.stripe.deliver(&user.http, node_a.address, &events[0]).await, 200);
        node_a.wait_until_idle().await;
        assert_eq!(user.subscription().await["state"], "ACTIVE");
        gate.release_one();
    };
    tokio::join!(late_sync, meanwhile);
    assert_eq!(user.subscription().await["state"], "ACTIVE");
    for node in [node_a, worker] {
        node.stop().await;
    }
}

fn gate_open_for_one_call() -> Gate {
    let gate = Gate::closed();
    gate.release_one();
    gate
}

/// The end of the first reply begins before the second message is committed, and waits for the chatroom's row. So it does not see
/// the second job, which the sender has not signalled, because the first reply was unfinished.
#[tokio::test]
async fn the_end_of_a_reply_signals_the_job_of_a_message_that_is_sent_meanwhile() {
    require_servers!();
    let api = start_api().await;
    let worker = start_worker(&api).await;
    let user = api.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    api.gemini.enqueue(Script::new().text("one").wait(&gate).finish("STOP"));
    api.gemini.enqueue(Script::reply(["two"]));
    let first = chatroom.send("a").await.reply;
    user.follow(&first, None).await.read_until("one").await;
    let mut job_signals = api.chatrooms.signals.subscribe(Topic::Jobs).await;

    let database = Database::connect(&api.backend.database_url).await.unwrap();
    let user_lock = database.begin().await.unwrap();
    // Sending a message locks the user's row last.
    user_lock.execute_unprepared("SELECT 1 FROM users FOR UPDATE").await.unwrap();
    let (sent, ()) = tokio::join!(chatroom.send("b"), async {
        wait_for_blocked_statements(&database, 1).await;
        gate.open();
        wait_for_blocked_statements(&database, 2).await;
        user_lock.commit().await.unwrap();
    });

    timeout(TEST_TIMEOUT, job_signals.next()).await.expect("the job was not signalled");
    assert_eq!(user.read(&sent.reply).await.text, "two");
    for node in [api, worker] {
        node.stop().await;
    }
}

async fn wait_for_blocked_statements(database: &DatabaseConnection, count: u64) {
    let blocked =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let wait =
        async { while database.execute_unprepared(blocked).await.unwrap().rows_affected() != count {} };
    timeout(TEST_TIMEOUT, wait).await.unwrap_or_else(|_| panic!("{count} statements did not block"));
}
