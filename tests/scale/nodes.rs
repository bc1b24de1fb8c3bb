//! Nodes of one installation: whatever is done on one is so on all.

use chrono::TimeDelta;
use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait};
use pollux::{
    config::Role,
    store::{
        Db,
        jobs::{self, ClaimTerms},
    },
};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};

use crate::support::{
    Backend, Gate, Script, TestApp, TestUser,
    app::{Wishes, config},
    billing::buy_pro_after_the_daily_quota,
    code_of,
    stripe::Fault,
    user,
};

/// An API node.
async fn api() -> TestApp {
    TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await
}

/// A worker whose heartbeat nobody waits for.
async fn worker(beside: &TestApp) -> TestApp {
    beside.beside(Role::Worker, &["--worker-lease=3600"]).await
}

fn on(user: &TestUser, node: &TestApp) -> TestUser {
    TestUser { address: node.address, ..user.clone() }
}

#[tokio::test]
async fn a_reply_is_followed_on_a_node_that_never_talked_to_its_worker() {
    let one = api().await;
    let other = one.beside(Role::Api, &[]).await;
    let worker = worker(&one).await;
    let gate = Gate::closed();
    one.gemini.answers(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let user = one.user().await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = on(&user, &other).follow(&asked.reply, None).await;
    follower.until("Half").await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "Half and half");
    for node in [one, other, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_reply_is_stopped_from_another_node_than_its_workers() {
    let one = api().await;
    let worker = worker(&one).await;
    one.gemini.answers(Script::new().text("So far").hang());
    let user = one.user().await;
    let asked = user.room("x").await.ask("hi").await;
    user.follow(&asked.reply, None).await.until("So far").await;
    assert_eq!(user.stop(&asked.reply).await, json!({"status": "CANCELLED", "content": "So far"}));
    for node in [one, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_room_is_followed_on_every_node() {
    let one = api().await;
    let other = one.beside(Role::Api, &[]).await;
    let worker = worker(&one).await;
    let user = one.user().await;
    let room = user.room("x").await;
    let mut socket = on(&user, &other).socket().await;
    let follow =
        "subscription($id: ID!) { chatroomEvents(chatroomId: $id, after: \"0\") { change { __typename } } }";
    socket.subscribe("1", follow, &json!({ "id": room.id })).await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "ReplyCompleted") {
        let change = &socket.next().await.unwrap()["payload"]["data"]["chatroomEvents"]["change"];
        heard.push(change["__typename"].as_str().unwrap().to_owned());
        if heard == ["ChatroomUpdated"] {
            // It follows: what comes now it has to hear of.
            room.ask("hi").await;
        }
    }
    assert_eq!(heard[1..3], ["MessageAdded", "MessageAdded"], "{heard:?}");
    for node in [one, other, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_session_that_ends_on_one_node_ends_its_sockets_on_all() {
    let one = api().await;
    let other = one.beside(Role::Api, &[]).await;
    let user = one.user().await;
    let mut socket = on(&user, &other).socket().await;
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(socket.close_code().await, 4403);
    for node in [one, other] {
        node.stop().await;
    }
}

#[tokio::test]
async fn what_one_node_has_written_no_other_lists_as_it_was() {
    let one = api().await;
    let other = one.beside(Role::Api, &[]).await;
    let user = one.user().await;
    let titles = async |node: &TestApp| {
        let data = on(&user, node).data("{ chatrooms { nodes { title } } }", json!({})).await;
        data["chatrooms"]["nodes"].as_array().unwrap().len()
    };
    for rooms in 1..4 {
        user.room("x").await;
        assert_eq!((titles(&other).await, titles(&one).await), (rooms, rooms));
    }
    for node in [one, other] {
        node.stop().await;
    }
}

#[tokio::test]
async fn limits_are_counted_over_all_nodes() {
    let one = TestApp::at_a_standstill().await;
    let other = one.beside(Role::Api, &[]).await;
    for (turn, node) in [&one, &other, &one, &other, &one].into_iter().enumerate() {
        let sent = node.stranger().ask_api(user::SEND_OTP, json!({"phone": "+14155550123"})).await;
        assert!(sent.get("errors").is_none(), "{turn}: {sent}");
        one.pass(chrono::TimeDelta::seconds(30)).await;
    }
    let sixth = other.stranger().ask_api(user::SEND_OTP, json!({"phone": "+14155550123"})).await;
    assert_eq!(code_of(&sixth), "RATE_LIMITED");
    for node in [one, other] {
        node.stop().await;
    }
}

#[tokio::test]
async fn workers_that_claim_at_once_exceed_no_cap() {
    let one = api().await;
    for _ in 0..20 {
        let user = one.user().await;
        for title in ["a", "b", "c", "d", "e"] {
            user.room(title).await.ask("hi").await;
        }
        let now = one.clock.now();
        let terms =
            ClaimTerms { now, leased_until: now + TimeDelta::hours(1), limit: 16, basic_cap: 2, pro_cap: 5 };
        let claims = join_all((0..8).map(async |_| jobs::claim(&one.chat.db, terms).await.unwrap()));
        // Meanwhile another is first, and again another.
        let first = "UPDATE jobs SET run_at = (SELECT min(run_at) FROM jobs) - interval '1 second'
                     WHERE id = (SELECT id FROM jobs WHERE leased_until IS NULL ORDER BY run_at DESC LIMIT 1)";
        let reordering = async {
            for _ in 0..8 {
                one.chat.db.write().execute_unprepared(first).await.unwrap();
            }
        };
        let (claims, ()) = tokio::join!(claims, reordering);
        assert_eq!(claims.concat().len(), 2);
    }
    one.end().await;
}

#[tokio::test]
async fn nodes_that_start_together_migrate_once() {
    let directory = tempfile::TempDir::new().unwrap();
    let backend = Backend::fresh(directory.path()).await;
    let database = Database::connect(&backend.database_url).await.unwrap();
    Migrator::down(&database, None).await.unwrap();
    let settings = config(&[&format!("--database-url={}", backend.database_url)]).database;
    let nodes = join_all((0..4).map(async |_| Db::open(&settings).await.unwrap().migrate().await)).await;
    assert!(nodes.iter().all(Result::is_ok), "{nodes:?}");
    database.execute_unprepared("SELECT * FROM jobs").await.unwrap();
}

#[tokio::test]
async fn pro_that_is_bought_on_one_node_is_seen_on_another() {
    let node = async |role, beside| {
        TestApp::with(Wishes { sells: true, role: Some(role), beside, ..Wishes::default() }).await
    };
    let one = node(Role::Api, None).await;
    let other = node(Role::Api, Some(&one)).await;
    let worker = node(Role::Worker, Some(&one)).await;
    buy_pro_after_the_daily_quota(&one, &other).await;
    for node in [one, other, worker] {
        node.stop().await;
    }
}

#[tokio::test]
async fn a_reading_that_another_nodes_has_overtaken_is_not_stored() {
    let node = async |role, beside| {
        TestApp::with(Wishes { sells: true, role: Some(role), beside, ..Wishes::default() }).await
    };
    let one = node(Role::Api, None).await;
    let worker = node(Role::Worker, Some(&one)).await;
    let user = one.user().await;
    let session = user.start_checkout(Value::Null).await.unwrap();
    let (subscription, events) = one.stripe.pay(&session);
    one.stripe.change(&subscription, "invoice.payment_failed", |it| it["status"] = json!("incomplete"));
    let gate = Gate::closed();
    let asked = one.stripe.calls("GET /v1/subscriptions").len();
    // Whether the checkout is complete, and then, late, the subscription as it was.
    one.stripe.fails(Fault::Late(open_gate()));
    one.stripe.fails(Fault::Late(gate.clone()));
    let late = async {
        assert_eq!(user.checkout_status(&session).await, "COMPLETE");
    };
    let meanwhile = async {
        one.stripe.was_asked("GET /v1/subscriptions", asked + 1).await;
        one.stripe.change(&subscription, "invoice.paid", |it| it["status"] = json!("active"));
        assert_eq!(one.stripe.tell(&user.http, one.address, &events[0]).await, 200);
        one.is_idle().await;
        assert_eq!(user.subscription().await["state"], "ACTIVE");
        gate.open();
    };
    tokio::join!(late, meanwhile);
    assert_eq!(user.subscription().await["state"], "ACTIVE");
    for node in [one, worker] {
        node.stop().await;
    }
}

fn open_gate() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}
