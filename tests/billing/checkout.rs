//! Checkouts and the billing portal.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Gate, TestApp,
    app::TestOptions,
    billing::{
        ACCOUNT_EVENTS, CHECKOUT_STATUS, START_CHECKOUT, billing_app, billing_app_at_noon,
        buy_pro_after_the_daily_quota,
    },
    code_of,
    stripe::{FRONTEND, Fault, PRICE},
};

const PORTAL: &str = "mutation($to: String) { openBillingPortal(input: { returnUrl: $to }) { url } }";

#[tokio::test]
async fn completed_checkout_lifts_the_daily_quota() {
    let app = billing_app().await;
    buy_pro_after_the_daily_quota(&app, &app).await;
    app.stop().await;
}

#[tokio::test]
async fn concurrent_checkout_calls_create_one_customer_and_one_session() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    let sessions = join_all((0..8).map(|_| user.start_checkout(Value::Null))).await;
    let first = sessions[0].as_ref().unwrap();
    assert!(sessions.iter().all(|session| session.as_ref().unwrap() == first));
    let customers = app.stripe.customers();
    assert_eq!(customers.len(), 1);
    assert_eq!(customers[0]["metadata"]["user_id"], json!(user.id));
    assert_eq!(app.stripe.open_sessions(), 1);
    app.stop().await;
}

#[tokio::test]
async fn checkout_sends_price_user_and_redirect_urls_to_stripe() {
    let app = billing_app().await;
    let user = app.user().await;
    user.start_checkout(Value::Null).await.unwrap();
    let custom = json!({"successUrl": format!("{FRONTEND}/thanks?plan=pro#top"), "cancelUrl": format!("{FRONTEND}/no")});
    user.start_checkout(custom).await.unwrap();
    let calls = app.stripe.calls("POST /v1/checkout/sessions");
    let field = |call: &str, name: &str| {
        let found = url::form_urlencoded::parse(call.as_bytes()).find(|(key, _)| key == name);
        found.map_or_else(|| panic!("{name} is not in {call}"), |(_, value)| value.into_owned())
    };
    for (name, value) in [
        ("mode", "subscription"),
        ("line_items[0][price]", PRICE),
        ("line_items[0][quantity]", "1"),
        ("client_reference_id", &user.id),
        ("subscription_data[metadata][user_id]", &user.id),
        ("success_url", "https://chat.example/billing/success?session_id={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://chat.example/billing/cancel"),
    ] {
        assert_eq!(field(&calls[0], name), value);
    }
    let success = "https://chat.example/thanks?plan=pro&session_id={CHECKOUT_SESSION_ID}#top";
    assert_eq!(field(&calls[1], "success_url"), success);
    assert_eq!(field(&calls[1], "cancel_url"), "https://chat.example/no");
    app.stop().await;
}

#[tokio::test]
async fn starting_a_checkout_for_other_urls_expires_the_open_one() {
    let app = billing_app().await;
    let user = app.user().await;
    let first = user.start_checkout(Value::Null).await.unwrap();
    assert_eq!(user.start_checkout(Value::Null).await.unwrap(), first);
    let other_url = json!({"cancelUrl": format!("{FRONTEND}/elsewhere")});
    let second = user.start_checkout(other_url).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(app.stripe.open_sessions(), 1);
    assert_eq!(user.checkout_status(&first).await, "EXPIRED");
    assert_eq!(user.checkout_status(&second).await, "OPEN");
    app.stop().await;
}

#[tokio::test]
async fn checkout_status_stores_the_subscription_before_its_webhook_arrives() {
    let app = billing_app().await;
    let user = app.user().await;
    let session = user.start_checkout(Value::Null).await.unwrap();
    app.stripe.complete_checkout(&session);
    assert_eq!(user.subscription().await["tier"], "BASIC");
    assert_eq!(user.checkout_status(&session).await, "COMPLETE");
    assert_eq!(user.subscription().await["tier"], "PRO");
    let other_user = app.user().await;
    for session in [session.as_str(), "cs_test_unknown"] {
        assert_eq!(other_user.error_code(CHECKOUT_STATUS, json!({ "id": session })).await, "NOT_FOUND");
    }
    app.stop().await;
}

#[tokio::test]
async fn starting_a_checkout_with_a_live_subscription_returns_already_subscribed() {
    let app = billing_app().await;
    for status in ["active", "trialing", "past_due", "a_status_of_a_later_version"] {
        let user = app.user().await;
        let session = user.start_checkout(Value::Null).await.unwrap();
        let (subscription, _) = app.stripe.complete_checkout(&session);
        app.stripe.update_subscription(&subscription, "customer.subscription.updated", |subscription| {
            subscription["status"] = json!(status);
        });
        // No event of the subscription has been delivered. The second call is for another URL.
        for input in [Value::Null, json!({"cancelUrl": format!("{FRONTEND}/x")})] {
            let error = user.start_checkout(input).await.expect_err(status);
            assert_eq!(code_of(&error), "ALREADY_SUBSCRIBED", "{status}");
        }
        app.stripe.update_subscription(&subscription, "customer.subscription.deleted", |subscription| {
            subscription["status"] = json!("canceled");
        });
        assert_ne!(user.start_checkout(Value::Null).await.unwrap(), session);
    }
    app.stop().await;
}

#[tokio::test]
async fn redirect_urls_outside_the_front_end_are_rejected() {
    let app = billing_app().await;
    let user = app.user().await;
    for url in [
        "https://evil.example/",
        "https://chat.example.evil.example/",
        "https://chat.example@evil.example/",
        "https://user:word@chat.example/",
        "http://chat.example/",
        "https://chat.example:8443/",
        "javascript:alert(1)",
        "/relative",
        "",
    ] {
        for field in ["successUrl", "cancelUrl"] {
            let error = user.start_checkout(json!({ field: url })).await.unwrap_err();
            assert_eq!(code_of(&error), "BAD_USER_INPUT", "{field} {url}");
            assert_eq!(error["errors"][0]["extensions"]["field"], field);
        }
        let error = user.execute(PORTAL, json!({ "to": url })).await;
        assert_eq!(error["errors"][0]["extensions"]["field"], "returnUrl", "{url}");
    }
    assert_eq!(app.stripe.calls("POST /v1/checkout/sessions").len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn portal_links_back_to_the_front_end() {
    let app = billing_app().await;
    let user = app.user().await;
    let open = async |to: Value| {
        let data = user.data(PORTAL, json!({ "to": to })).await;
        data["openBillingPortal"]["url"].as_str().unwrap().to_owned()
    };
    assert!(open(Value::Null).await.ends_with("?return=https://chat.example"));
    assert!(
        open(json!("https://chat.example/account")).await.ends_with("?return=https://chat.example/account")
    );
    assert_eq!(app.stripe.customers().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn without_billing_settings_the_error_names_the_missing_settings() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for (query, missing) in [
        (START_CHECKOUT, "set STRIPE_SECRET_KEY, STRIPE_PRO_PRICE_ID, STRIPE_WEBHOOK_SECRET, FRONTEND_URL."),
        (PORTAL, "set STRIPE_SECRET_KEY."),
    ] {
        let error = user.execute(query, json!({})).await;
        assert_eq!(code_of(&error), "BILLING_NOT_CONFIGURED");
        let message = error["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(missing), "{message}");
    }
    let expected =
        json!({"tier": "BASIC", "state": "NONE", "currentPeriodEnd": null, "cancelAtPeriodEnd": false});
    assert_eq!(user.subscription().await, expected);
    let event = app.stripe.event("invoice.paid", json!({"customer": "cus_1"}));
    assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 503);
    app.stop().await;
}

#[tokio::test]
async fn stripe_faults_are_retried_and_then_returned_without_their_cause() {
    let settings = ["--stripe-timeout=1"];
    let app =
        TestApp::with(TestOptions { billing: true, settings: &settings, ..TestOptions::default() }).await;
    let user = app.user().await;
    let unopened_gate = Gate::closed();
    for fault in [Fault::Status(429), Fault::Status(503), Fault::Html, Fault::DelayProcessing(unopened_gate)]
    {
        app.stripe.enqueue_fault(fault);
        user.start_checkout(Value::Null).await.unwrap();
    }
    assert_eq!(app.stripe.customers().len(), 1);
    // A call is tried three times.
    for _ in 0..3 {
        app.stripe.enqueue_fault(Fault::Status(503));
    }
    let error = user.start_checkout(Value::Null).await.unwrap_err();
    assert_eq!(code_of(&error), "PAYMENT_PROVIDER_ERROR");
    let text = error.to_string();
    assert!(!text.contains("sk_test") && !text.contains("fault"), "{text}");
    // A client error is not retried.
    app.stripe.enqueue_fault(Fault::Status(402));
    assert_eq!(code_of(&user.start_checkout(Value::Null).await.unwrap_err()), "PAYMENT_PROVIDER_ERROR");
    user.start_checkout(Value::Null).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn concurrent_checkouts_for_different_urls_leave_one_open() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    let inputs = (0..6).map(|number| json!({"cancelUrl": format!("{FRONTEND}/{number}")}));
    join_all(inputs.map(|input| user.start_checkout(input))).await;
    let last = user.start_checkout(json!({"cancelUrl": format!("{FRONTEND}/last")})).await.unwrap();
    assert_eq!(app.stripe.open_sessions(), 1);
    assert_eq!(user.checkout_status(&last).await, "OPEN");
    app.stop().await;
}

#[tokio::test]
async fn error_that_stripe_stored_under_an_idempotency_key_lasts_at_most_a_minute() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    for _ in 0..2 {
        // Stripe stores this response under the idempotency key, which changes every minute, and returns it again.
        app.stripe.enqueue_fault(Fault::Status(500));
        for _ in 0..2 {
            assert_eq!(
                code_of(&user.start_checkout(Value::Null).await.unwrap_err()),
                "PAYMENT_PROVIDER_ERROR"
            );
        }
        app.clock.advance(TimeDelta::minutes(1));
    }
    user.start_checkout(Value::Null).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn customer_deleted_at_stripe_is_recreated_by_the_next_checkout() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    let first = user.start_checkout(Value::Null).await.unwrap();
    for _ in 0..2 {
        let old_customer = app.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
        app.stripe.remove_customer(&old_customer);
        // Within the same minute, the idempotency key would be the same, and Stripe would return the removed customer.
        app.clock.advance(TimeDelta::minutes(1));
        let other_url = json!({"cancelUrl": format!("{FRONTEND}/{old_customer}")});
        assert_ne!(user.start_checkout(other_url).await.unwrap(), first);
        assert_eq!(app.stripe.customers().len(), 1);
        assert_ne!(app.stripe.customers()[0]["id"], old_customer);
        assert_eq!(user.checkout_status(&first).await, "EXPIRED");
    }
    app.stop().await;
}

#[tokio::test]
async fn subscription_is_synced_without_events_while_a_change_is_expected() {
    let app = billing_app_at_noon().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    socket.subscribe("account", ACCOUNT_EVENTS, &json!({})).await;
    let mut next_tier = async || {
        let event = socket.next().await.unwrap();
        event["payload"]["data"]["accountEvents"]["subscription"]["tier"].as_str().unwrap().to_owned()
    };
    assert_eq!(next_tier().await, "BASIC");
    let session = user.start_checkout(Value::Null).await.unwrap();
    let (subscription, _) = app.stripe.complete_checkout(&session);
    // A change is expected because a checkout is open, and later because the period has ended.
    app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(next_tier().await, "PRO");
    app.stripe.update_subscription(&subscription, "customer.subscription.deleted", |subscription| {
        subscription["status"] = json!("canceled");
    });
    app.clock.advance(TimeDelta::days(30));
    assert_eq!(next_tier().await, "BASIC");
    app.shut_down().await;
}
