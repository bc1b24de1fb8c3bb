//! Which subscriptions give Pro or prevent another checkout; reversed payments; customer profiles at Stripe.

use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    Gate, TestApp, TestUser,
    billing::{billing_app, billing_app_at_noon, user_with_customer},
    code_of,
    stripe::Fault,
};

const UPDATE: &str = "mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id } } }";

/// Changes a subscription and waits until its event has been processed. Returns the user's tier and state.
async fn change_subscription(
    app: &TestApp,
    user: &TestUser,
    id: &str,
    change: impl FnOnce(&mut Value),
) -> Value {
    let event = app.stripe.update_subscription(id, "customer.subscription.updated", change);
    assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 200);
    app.wait_until_idle().await;
    let status = user.subscription().await;
    json!([status["tier"], status["state"]])
}

#[tokio::test]
async fn paused_collection_gives_basic_until_it_is_resumed() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    app.stripe.add_customer(&customer);
    let id = app.stripe.create_subscription(&customer, "active");
    assert_eq!(change_subscription(&app, &user, &id, |_| {}).await, json!(["PRO", "ACTIVE"]));
    for behavior in ["void", "keep_as_draft", "mark_uncollectible"] {
        let paused = json!({"behavior": behavior, "resumes_at": null});
        let state =
            change_subscription(&app, &user, &id, |subscription| subscription["pause_collection"] = paused)
                .await;
        assert_eq!(state, json!(["BASIC", "PAUSED"]));
        // The operator can resume the collection. After another checkout, the user would then pay for two subscriptions.
        assert_eq!(code_of(&user.start_checkout(Value::Null).await.unwrap_err()), "ALREADY_SUBSCRIBED");
        let state = change_subscription(&app, &user, &id, |subscription| {
            subscription["pause_collection"] = Value::Null;
        })
        .await;
        assert_eq!(state, json!(["PRO", "ACTIVE"]));
    }
    let state = change_subscription(&app, &user, &id, |subscription| {
        subscription["status"] = json!("trialing");
        subscription["pause_collection"] = json!({"behavior": "void", "resumes_at": 1_900_000_000});
    });
    assert_eq!(state.await, json!(["BASIC", "PAUSED"]));
    app.stop().await;
}

#[tokio::test]
async fn any_price_of_the_product_gives_pro_and_other_products_do_not() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    app.stripe.add_customer(&customer);
    let id = app.stripe.create_subscription(&customer, "active");
    let with_price = |price: &str, product: &str| {
        let price = json!({"id": price, "object": "price", "product": product});
        move |subscription: &mut Value| subscription["items"]["data"][0]["price"] = price
    };
    let state = change_subscription(&app, &user, &id, with_price("price_other", "prod_other")).await;
    assert_eq!(state, json!(["BASIC", "NONE"]));
    user.start_checkout(Value::Null).await.unwrap();
    assert_eq!(app.stripe.subscription(&id)["status"], "active", "the subscription to another product stays");
    let state = change_subscription(&app, &user, &id, with_price("price_yearly", "prod_pro")).await;
    assert_eq!(state, json!(["PRO", "ACTIVE"]));
    assert_eq!(code_of(&user.start_checkout(Value::Null).await.unwrap_err()), "ALREADY_SUBSCRIBED");
    // Of subscriptions to both products, only the one to Pro counts.
    let other_subscription = app.stripe.create_subscription(&customer, "past_due");
    let state =
        change_subscription(&app, &user, &other_subscription, with_price("price_other", "prod_other")).await;
    assert_eq!(state, json!(["PRO", "ACTIVE"]));
    assert_eq!(app.stripe.calls("GET /v1/prices/price_pro").len(), 1, "the product is read once");
    app.stop().await;
}

#[tokio::test]
async fn a_visitors_failed_read_of_the_price_does_not_affect_subscriptions() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    app.stripe.set_down(true);
    app.anonymous().execute("{ billing { proPrice { amount } } }", json!({})).await;
    app.stripe.set_down(false);
    let id = app.stripe.create_subscription(&customer, "active");
    let price = json!({"id": "price_yearly", "object": "price", "product": "prod_pro"});
    let state = change_subscription(&app, &user, &id, |subscription| {
        subscription["items"]["data"][0]["price"] = price.clone();
    })
    .await;
    assert_eq!(state, json!(["PRO", "ACTIVE"]));
    app.stop().await;
}

#[tokio::test]
async fn past_due_subscription_gives_pro_for_seven_days() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    let id = app.stripe.create_subscription(&customer, "active");
    let state =
        change_subscription(&app, &user, &id, |subscription| subscription["status"] = json!("past_due"))
            .await;
    assert_eq!(state, json!(["PRO", "PAST_DUE"]));
    for (pause, tier) in
        [(TimeDelta::days(7) - TimeDelta::seconds(1), "PRO"), (TimeDelta::seconds(1), "BASIC")]
    {
        app.advance(pause).await;
        assert_eq!(app.chatrooms.clock.now(), app.clock.now());
        let subscription = entity::subscription::Entity::find().one(app.chatrooms.db.read()).await.unwrap();
        let is_pro = subscription.unwrap().pro_until.unwrap() > app.clock.now();
        assert_eq!(if is_pro { "PRO" } else { "BASIC" }, tier);
    }
    app.shut_down().await;
}

#[tokio::test]
async fn new_checkout_cancels_a_subscription_whose_payment_is_missing() {
    let app = billing_app().await;
    for status in ["incomplete", "unpaid", "paused"] {
        let user = app.user().await;
        let first = user.start_checkout(Value::Null).await.unwrap();
        let (id, _) = app.stripe.complete_checkout(&first);
        app.stripe.update_subscription(&id, "customer.subscription.updated", |subscription| {
            subscription["status"] = json!(status);
        });
        let second = user.start_checkout(Value::Null).await.unwrap();
        assert_ne!(second, first, "{status}");
        assert_eq!(app.stripe.subscription(&id)["status"], "canceled", "{status}");
        app.stripe.complete_checkout(&second);
        assert_eq!(user.checkout_status(&second).await, "COMPLETE");
        assert_eq!(user.subscription().await["tier"], "PRO", "{status}");
    }
    app.stop().await;
}

#[tokio::test]
async fn full_refund_and_lost_dispute_are_stored_as_a_reversal() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    app.stripe.add_charge("ch_mine", &customer);
    app.stripe.add_charge("ch_other", "cus_of_another_product");
    // Delivers an event and returns the reversal that is stored afterwards.
    let reversal_after = async |kind: &str, object: Value| {
        let event = app.stripe.event(kind, object);
        assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 200);
        app.wait_until_idle().await;
        let row = entity::subscription::Entity::find().one(app.chatrooms.db.read()).await.unwrap().unwrap();
        assert_eq!(row.reversal.is_some(), row.reversed_at.is_some());
        row.reversal
    };
    let dispute = |status: &str, charge: &str| json!({"id": "dp_1", "object": "dispute", "status": status, "charge": charge});
    let charge = |refunded: bool| json!({"id": "ch_mine", "object": "charge", "customer": customer, "refunded": refunded});
    for (kind, object) in [
        ("charge.dispute.created", dispute("needs_response", "ch_mine")),
        ("charge.dispute.closed", dispute("won", "ch_mine")),
        ("charge.dispute.closed", dispute("lost", "ch_other")),
        ("charge.dispute.closed", dispute("lost", "ch_unknown")),
        ("charge.refunded", charge(false)),
    ] {
        assert_eq!(reversal_after(kind, object.clone()).await, None, "{object}");
    }
    let lost = reversal_after("charge.dispute.closed", dispute("lost", "ch_mine")).await;
    assert_eq!(lost.as_deref(), Some("charge.dispute.closed ch_mine"));
    app.stripe.enqueue_fault(Fault::Status(400));
    let event = app.stripe.event("charge.refunded", charge(true));
    assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 200);
    app.wait_for_retry(1).await;
    app.advance(TimeDelta::seconds(2)).await;
    app.wait_until_idle().await;
    let row = entity::subscription::Entity::find().one(app.chatrooms.db.read()).await.unwrap().unwrap();
    assert_eq!(row.reversal.as_deref(), Some("charge.refunded ch_mine"), "a failed call is retried");
    // A later sync keeps the reversal.
    let id = app.stripe.create_subscription(&customer, "active");
    change_subscription(&app, &user, &id, |_| {}).await;
    let row = entity::subscription::Entity::find().one(app.chatrooms.db.read()).await.unwrap().unwrap();
    assert_eq!(row.reversal.as_deref(), Some("charge.refunded ch_mine"));
    app.stop().await;
}

/// Returns the email address and name of the only customer at Stripe.
fn stripe_profile(app: &TestApp) -> Value {
    let customer = &app.stripe.customers()[0];
    json!([customer["email"], customer["name"]])
}

#[tokio::test]
async fn changed_profile_is_copied_to_the_stripe_customer() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    user.data(UPDATE, json!({"input": {"email": "old@example.com"}})).await;
    assert_eq!(app.stripe.calls("POST /v1/customers").len(), 0, "a user without a checkout has no customer");
    user.start_checkout(Value::Null).await.unwrap();
    assert_eq!(stripe_profile(&app), json!(["old@example.com", null]));
    for (input, expected) in [
        (json!({"email": "new@example.com", "fullName": "Ada"}), json!(["new@example.com", "Ada"])),
        (json!({"email": null}), json!([null, "Ada"])),
    ] {
        user.data(UPDATE, json!({ "input": input })).await;
        app.wait_until_idle().await;
        assert_eq!(stripe_profile(&app), expected);
    }
    app.stripe.set_down(true);
    user.data(UPDATE, json!({"input": {"email": "later@example.com"}})).await;
    tokio::time::timeout(Duration::from_secs(20), app.wait_for_retry(1)).await.unwrap();
    app.stripe.set_down(false);
    app.advance(TimeDelta::seconds(2)).await;
    app.wait_until_idle().await;
    assert_eq!(stripe_profile(&app), json!(["later@example.com", "Ada"]));
    app.stop().await;
}

#[tokio::test]
async fn profile_changed_while_the_customer_is_created_is_copied_to_stripe() {
    let app = billing_app().await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.stripe.enqueue_fault(Fault::DelayResponse(gate.clone()));
    let changes = async {
        app.stripe.wait_for_calls("POST /v1/customers", 1).await;
        user.data(UPDATE, json!({"input": {"email": "new@example.com"}})).await;
        gate.release_one();
    };
    let (started, ()) = tokio::join!(user.start_checkout(Value::Null), changes);
    started.unwrap();
    app.wait_until_idle().await;
    assert_eq!(stripe_profile(&app), json!(["new@example.com", null]));
    app.stop().await;
}
