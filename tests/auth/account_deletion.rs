//! Ending sessions and accounts.

use chrono::TimeDelta;
use futures_util::future::join_all;
use pollux::{clock::Clock, config::Role};
use sea_orm::{EntityTrait, PaginatorTrait, TransactionTrait};
use serde_json::{Value, json};

use crate::support::{
    Backend, Gate, Script, TestApp, TestUser,
    billing::{NOON, selling, selling_at},
    code_of,
    stripe::{Fault, is_customer},
};

const PHONE: &str = "+14155550199";
const DELETE: &str = "mutation { deleteAccount { deletedId } }";
const END: &str = "mutation($id: ID!) { endSession(id: $id) { sessionsEnded } }";
const SESSIONS: &str = "{ sessions { id current userAgent lastSeenAt } }";

async fn sessions(user: &TestUser) -> Vec<Value> {
    user.data(SESSIONS, json!({})).await["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_session_is_ended_on_another_device_and_its_sockets_close() {
    let app = TestApp::at_a_standstill().await;
    let lost = app.signed_in(PHONE).await;
    app.pass(TimeDelta::seconds(31)).await;
    let user = app.signed_in(PHONE).await;
    // Where there are several nodes, the socket is on another than the one that ends its session.
    let beside = match Backend::servers() {
        Some(_) => Some(app.beside(Role::Api, &[]).await),
        None => None,
    };
    let address = beside.as_ref().map_or(app.address, |node| node.address);
    let mut socket = TestUser { address, ..lost.clone() }.socket().await;
    let known = sessions(&user).await;
    assert_eq!(known.len(), 2);
    let other = known.iter().find(|session| session["current"] == false).unwrap();
    let ended = user.data(END, json!({"id": other["id"]})).await;
    assert_eq!(ended["endSession"]["sessionsEnded"], 1);
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(lost.data("{ me { id } }", json!({})).await["me"], Value::Null);
    assert_eq!(sessions(&user).await.len(), 1);
    assert_eq!(user.refusal(END, json!({"id": other["id"]})).await, "NOT_FOUND");
    if let Some(node) = beside {
        node.end().await;
    }
    app.stop().await;
}

#[tokio::test]
async fn another_users_session_is_not_found() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let id = sessions(&other).await[0]["id"].clone();
    for id in [id, json!("session"), json!(user.id)] {
        assert_eq!(user.refusal(END, json!({ "id": id })).await, "NOT_FOUND", "{id}");
    }
    assert_eq!(sessions(&other).await.len(), 1);
    app.stop().await;
}

/// How many rows there are of what users own.
async fn rows(app: &TestApp) -> [u64; 7] {
    let db = app.chat.db.read();
    [
        entity::user::Entity::find().count(db).await.unwrap(),
        entity::session::Entity::find().count(db).await.unwrap(),
        entity::chatroom::Entity::find().count(db).await.unwrap(),
        entity::message::Entity::find().count(db).await.unwrap(),
        entity::daily_usage::Entity::find().count(db).await.unwrap(),
        entity::subscription::Entity::find().count(db).await.unwrap(),
        entity::job::Entity::find().count(db).await.unwrap(),
    ]
}

#[tokio::test]
async fn an_account_that_is_deleted_leaves_nothing_and_pays_nothing() {
    let app = selling().await;
    let user = app.signed_in(PHONE).await;
    let customer = "cus_leaves";
    is_customer(app.chat.db.write(), user.id.parse().unwrap(), customer, app.clock.now()).await;
    app.stripe.knows(customer);
    let subscription = app.stripe.subscribe(customer, "active");
    for title in ["x", "y"] {
        user.read(&user.room(title).await.ask("hi").await.reply).await;
    }
    // One that is being written.
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Never").wait(&gate).text(" whole").finish("STOP"));
    let asked = user.room("z").await.ask("hi").await;
    user.follow(&asked.reply, None).await.until("Never").await;
    let mut socket = user.socket().await;

    let deleted = user.data(DELETE, json!({})).await;
    assert_eq!(deleted["deleteAccount"]["deletedId"], user.id.as_str());
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(user.refusal(DELETE, json!({})).await, "UNAUTHENTICATED");
    app.is_idle().await;
    gate.open_wide();
    assert_eq!(rows(&app).await, [0; 7]);
    assert_eq!(app.stripe.subscription(&subscription)["status"], "canceled");
    assert_eq!(app.stripe.customers(), Vec::<Value>::new());
    app.stop().await;
}

#[tokio::test]
async fn the_number_of_a_deleted_account_is_free_at_once() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    let room = user.room("x").await;
    user.data(DELETE, json!({})).await;
    app.pass(TimeDelta::seconds(31)).await;
    let new = app.signed_in(PHONE).await;
    assert_ne!(new.id, user.id);
    let found = new.data("query($id: ID!) { chatroom(id: $id) { id } }", json!({"id": room.id})).await;
    assert_eq!(found["chatroom"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn deleting_waits_for_stripe_and_is_not_given_up() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &[]).await;
    let user = app.user().await;
    is_customer(app.chat.db.write(), user.id.parse().unwrap(), "cus_1", app.clock.now()).await;
    app.stripe.knows("cus_1");
    let subscription = app.stripe.subscribe("cus_1", "active");
    app.stripe.fails(Fault::Status(400));
    user.room("x").await;
    user.data(DELETE, json!({})).await;
    app.has_put_off(1).await;
    assert_eq!(
        rows(&app).await,
        [1, 0, 0, 0, 0, 1, 1],
        "its texts are gone, and what is paid is still known"
    );
    assert_eq!(app.stripe.subscription(&subscription)["status"], "active");
    app.clock.advance(TimeDelta::seconds(5));
    app.is_idle().await;
    assert_eq!(app.stripe.subscription(&subscription)["status"], "canceled");
    assert_eq!(rows(&app).await, [0; 7]);
    app.stop().await;
}

#[tokio::test]
async fn who_leaves_while_a_checkout_begins_is_no_customer() {
    let app = selling().await;
    let user = app.signed_in(PHONE).await;
    let gate = Gate::closed();
    app.stripe.fails(Fault::Wait(gate.clone()));
    let checkout = "mutation { startCheckout { sessionId } }";
    let leaves = async {
        app.stripe.was_asked("POST /v1/customers", 1).await;
        user.data(DELETE, json!({})).await;
        app.is_idle().await;
        gate.open();
    };
    let (refused, ()) = tokio::join!(user.refusal(checkout, json!({})), leaves);
    assert_eq!(refused, "NOT_FOUND");
    assert_eq!(rows(&app).await, [0; 7]);
    assert_eq!(app.stripe.customers(), Vec::<Value>::new());
    app.stop().await;
}

#[tokio::test]
async fn a_long_conversation_is_deleted_too() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let reply = room.ask("hi").await.reply;
    user.read(&reply).await;
    // Each after the one before, deeper than SQLite goes by itself.
    let db = app.chat.db.write();
    let reply: entity::MessageId = reply.parse().unwrap();
    let mut message = entity::message::Entity::find_by_id(reply).one(db).await.unwrap().unwrap();
    let tx = db.begin().await.unwrap();
    for _ in 0..1200 {
        message.parent_id = Some(message.id);
        message.id = entity::MessageId::generate();
        message.depth += 1;
        pollux::store::messages::insert(&tx, &message).await.unwrap();
    }
    tx.commit().await.unwrap();
    let delete = "mutation($id: ID!) { deleteChatroom(id: $id) { deletedId } }";
    assert_eq!(user.refusal(delete, json!({"id": room.id})).await, "no error");
    assert_eq!(entity::message::Entity::find().count(app.chat.db.read()).await.unwrap(), 0);
    app.stop().await;
}

#[tokio::test]
async fn deletions_at_once_are_one() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.room("x").await;
    let answers = join_all((0..5).map(|_| user.ask_api(DELETE, json!({})))).await;
    for answer in &answers {
        let deleted = answer["data"]["deleteAccount"]["deletedId"] == user.id.as_str();
        assert!(deleted || code_of(answer) == "UNAUTHENTICATED", "{answer}");
    }
    assert!(answers.iter().any(|answer| code_of(answer) == "no error"));
    app.is_idle().await;
    assert_eq!(rows(&app).await, [0; 7]);
    app.stop().await;
}
