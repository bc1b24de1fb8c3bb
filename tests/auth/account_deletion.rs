//! Ending sessions, and deleting accounts.

use chrono::TimeDelta;
use futures_util::future::join_all;
use pollux::config::Role;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};

use crate::support::{
    Backend, Gate, Script, TestApp, TestUser,
    billing::{billing_app, billing_app_at_noon},
    code_of,
    stripe::{Fault, insert_customer},
};

const PHONE: &str = "+14155550199";
const DELETE: &str = "mutation { deleteAccount { deletedId } }";
const END: &str = "mutation($id: ID!) { endSession(input: { id: $id }) { sessionsEnded } }";
const SESSIONS: &str = "{ sessions { id current userAgent lastSeenAt } }";

async fn sessions(user: &TestUser) -> Vec<Value> {
    user.data(SESSIONS, json!({})).await["sessions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn ending_a_session_from_another_device_closes_its_sockets() {
    let app = TestApp::with_stopped_clock().await;
    let lost_device = app.sign_in_as(PHONE).await;
    app.advance(TimeDelta::seconds(31)).await;
    let user = app.sign_in_as(PHONE).await;
    // On PostgreSQL and Redis, the socket is connected to another node than the one that ends its session.
    let second_node = match Backend::servers() {
        Some(_) => Some(app.add_node(Role::Api, &[]).await),
        None => None,
    };
    let address = second_node.as_ref().map_or(app.address, |node| node.address);
    let mut socket = TestUser { address, ..lost_device.clone() }.socket().await;
    let listed = sessions(&user).await;
    assert_eq!(listed.len(), 2);
    let other_session = listed.iter().find(|session| session["current"] == false).unwrap();
    let ended = user.data(END, json!({"id": other_session["id"]})).await;
    assert_eq!(ended["endSession"]["sessionsEnded"], 1);
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(lost_device.data("{ me { id } }", json!({})).await["me"], Value::Null);
    assert_eq!(sessions(&user).await.len(), 1);
    assert_eq!(user.error_code(END, json!({"id": other_session["id"]})).await, "NOT_FOUND");
    if let Some(node) = second_node {
        node.shut_down().await;
    }
    app.stop().await;
}

#[tokio::test]
async fn ending_another_users_session_returns_not_found() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let id = sessions(&other).await[0]["id"].clone();
    for id in [id, json!("session"), json!(user.id)] {
        assert_eq!(user.error_code(END, json!({ "id": id })).await, "NOT_FOUND", "{id}");
    }
    assert_eq!(sessions(&other).await.len(), 1);
    app.stop().await;
}

/// The number of rows of each table of user data.
async fn row_counts(app: &TestApp) -> [u64; 7] {
    let db = app.chatrooms.db.read();
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
async fn deleting_an_account_erases_its_data_and_cancels_its_subscription() {
    let app = billing_app().await;
    let user = app.sign_in_as(PHONE).await;
    let customer = "cus_deleted";
    insert_customer(app.chatrooms.db.write(), user.id.parse().unwrap(), customer, app.clock.now()).await;
    app.stripe.add_customer(customer);
    let subscription = app.stripe.create_subscription(customer, "active");
    for title in ["x", "y"] {
        user.read(&user.create_chatroom(title).await.send("hi").await.reply).await;
    }
    // This reply is still being written when the account is deleted.
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Never").wait(&gate).text(" whole").finish("STOP"));
    let sent = user.create_chatroom("z").await.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("Never").await;
    let mut socket = user.socket().await;

    let deleted = user.data(DELETE, json!({})).await;
    assert_eq!(deleted["deleteAccount"]["deletedId"], user.id.as_str());
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(user.error_code(DELETE, json!({})).await, "UNAUTHENTICATED");
    app.wait_until_idle().await;
    gate.open();
    assert_eq!(row_counts(&app).await, [0; 7]);
    assert_eq!(app.stripe.subscription(&subscription)["status"], "canceled");
    assert_eq!(app.stripe.customers(), Vec::<Value>::new());
    app.stop().await;
}

#[tokio::test]
async fn phone_number_of_a_deleted_account_can_be_reused_at_once() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    let chatroom = user.create_chatroom("x").await;
    user.data(DELETE, json!({})).await;
    app.advance(TimeDelta::seconds(31)).await;
    let new_user = app.sign_in_as(PHONE).await;
    assert_ne!(new_user.id, user.id);
    let found =
        new_user.data("query($id: ID!) { chatroom(id: $id) { id } }", json!({"id": chatroom.id})).await;
    assert_eq!(found["chatroom"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn account_deletion_is_retried_until_stripe_has_deleted_the_customer() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    insert_customer(app.chatrooms.db.write(), user.id.parse().unwrap(), "cus_1", app.clock.now()).await;
    app.stripe.add_customer("cus_1");
    let subscription = app.stripe.create_subscription("cus_1", "active");
    // The server does not repeat a call that failed with 400, so this attempt of the job fails.
    app.stripe.enqueue_fault(Fault::Status(400));
    user.create_chatroom("x").await;
    user.data(DELETE, json!({})).await;
    app.wait_for_retry(1).await;
    assert_eq!(
        row_counts(&app).await,
        [1, 0, 0, 0, 0, 1, 1],
        "the user and the Stripe customer are kept until Stripe has deleted the customer, the other data is deleted"
    );
    assert_eq!(app.stripe.subscription(&subscription)["status"], "active");
    app.clock.advance(TimeDelta::seconds(5));
    app.wait_until_idle().await;
    assert_eq!(app.stripe.subscription(&subscription)["status"], "canceled");
    assert_eq!(row_counts(&app).await, [0; 7]);
    app.stop().await;
}

#[tokio::test]
async fn deleting_the_account_during_checkout_leaves_no_stripe_customer() {
    let app = billing_app().await;
    let user = app.sign_in_as(PHONE).await;
    let gate = Gate::closed();
    app.stripe.enqueue_fault(Fault::DelayProcessing(gate.clone()));
    let checkout = "mutation { startCheckout { sessionId } }";
    let deletion = async {
        app.stripe.wait_for_calls("POST /v1/customers", 1).await;
        user.data(DELETE, json!({})).await;
        app.wait_until_idle().await;
        gate.release_one();
    };
    let (code, ()) = tokio::join!(user.error_code(checkout, json!({})), deletion);
    assert_eq!(code, "NOT_FOUND");
    assert_eq!(row_counts(&app).await, [0; 7]);
    assert_eq!(app.stripe.customers(), Vec::<Value>::new());
    app.stop().await;
}

#[tokio::test]
async fn chatroom_with_1200_nested_messages_is_deleted() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let reply = chatroom.send("hi").await.reply;
    user.read(&reply).await;
    // Each message is the child of the previous one. By default, SQLite does not cascade deletes to so many levels.
    let db = app.chatrooms.db.write();
    let reply: entity::MessageId = reply.parse().unwrap();
    let mut message = entity::message::Entity::find_by_id(reply).one(db).await.unwrap().unwrap();
    let tx = app.chatrooms.db.begin().await.unwrap();
    for _ in 0..1200 {
        message.parent_id = Some(message.id);
        message.id = entity::MessageId::generate();
        message.depth += 1;
        pollux::store::messages::insert(&tx, &message).await.unwrap();
    }
    pollux::store::commit(tx).await.unwrap();
    let delete = "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }";
    assert_eq!(user.error_code(delete, json!({"id": chatroom.id})).await, "no error");
    assert_eq!(entity::message::Entity::find().count(app.chatrooms.db.read()).await.unwrap(), 0);
    app.stop().await;
}

#[tokio::test]
async fn concurrent_account_deletions_erase_the_account_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    user.create_chatroom("x").await;
    let responses = join_all((0..5).map(|_| user.execute(DELETE, json!({})))).await;
    for response in &responses {
        let deleted = response["data"]["deleteAccount"]["deletedId"] == user.id.as_str();
        assert!(deleted || code_of(response) == "UNAUTHENTICATED", "{response}");
    }
    assert!(responses.iter().any(|response| code_of(response) == "no error"));
    app.wait_until_idle().await;
    assert_eq!(row_counts(&app).await, [0; 7]);
    app.stop().await;
}
