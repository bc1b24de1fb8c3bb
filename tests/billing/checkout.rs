//! Buying Pro: checkouts, the portal, and what a paid tier is good for.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Gate, TestApp,
    app::Wishes,
    billing::{ACCOUNT, NOON, START, STATUS, buy_and_talk, selling},
    code_of,
    stripe::{FRONTEND, Fault, PRICE},
};

const PORTAL: &str = "mutation($to: String) { openBillingPortal(returnUrl: $to) { url } }";

/// A server that sells, at this time until the test moves it.
async fn selling_at(time: &str) -> TestApp {
    let clock = Some(pollux::clock::Clock::stopped(time.parse().unwrap()));
    TestApp::with(Wishes { sells: true, clock, ..Wishes::default() }).await
}

#[tokio::test]
async fn from_checkout_to_the_reply_to_the_21st_message() {
    let app = selling().await;
    buy_and_talk(&app, &app).await;
    app.stop().await;
}

#[tokio::test]
async fn calls_at_the_same_time_make_one_customer_and_one_checkout() {
    let app = selling_at(NOON).await;
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
async fn a_checkout_says_what_stripe_needs_to_know() {
    let app = selling().await;
    let user = app.user().await;
    user.start_checkout(Value::Null).await.unwrap();
    let mine = json!({"successUrl": format!("{FRONTEND}/thanks?plan=pro#top"), "cancelUrl": format!("{FRONTEND}/no")});
    user.start_checkout(mine).await.unwrap();
    let calls = app.stripe.calls("POST /v1/checkout/sessions");
    let said = |call: &str, name: &str| {
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
        assert_eq!(said(&calls[0], name), value);
    }
    let success = "https://chat.example/thanks?plan=pro&session_id={CHECKOUT_SESSION_ID}#top";
    assert_eq!(said(&calls[1], "success_url"), success);
    assert_eq!(said(&calls[1], "cancel_url"), "https://chat.example/no");
    app.stop().await;
}

#[tokio::test]
async fn a_user_has_one_open_checkout() {
    let app = selling().await;
    let user = app.user().await;
    let first = user.start_checkout(Value::Null).await.unwrap();
    assert_eq!(user.start_checkout(Value::Null).await.unwrap(), first);
    let elsewhere = json!({"cancelUrl": format!("{FRONTEND}/elsewhere")});
    let second = user.start_checkout(elsewhere).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(app.stripe.open_sessions(), 1);
    assert_eq!(user.checkout_status(&first).await, "EXPIRED");
    assert_eq!(user.checkout_status(&second).await, "OPEN");
    app.stop().await;
}

#[tokio::test]
async fn coming_back_before_the_webhook_is_enough() {
    let app = selling().await;
    let user = app.user().await;
    let session = user.start_checkout(Value::Null).await.unwrap();
    app.stripe.pay(&session);
    assert_eq!(user.subscription().await["tier"], "BASIC");
    assert_eq!(user.checkout_status(&session).await, "COMPLETE");
    assert_eq!(user.subscription().await["tier"], "PRO");
    let other = app.user().await;
    for session in [session.as_str(), "cs_test_nothing"] {
        assert_eq!(other.refusal(STATUS, json!({ "id": session })).await, "NOT_FOUND");
    }
    app.stop().await;
}

#[tokio::test]
async fn nobody_pays_twice() {
    let app = selling().await;
    for state in ["active", "trialing", "past_due", "a_status_of_next_year"] {
        let user = app.user().await;
        let session = user.start_checkout(Value::Null).await.unwrap();
        let (subscription, _) = app.stripe.pay(&session);
        app.stripe.change(&subscription, "customer.subscription.updated", |one| one["status"] = json!(state));
        // Stripe has told nothing, and the checkout is for other URLs.
        for input in [Value::Null, json!({"cancelUrl": format!("{FRONTEND}/x")})] {
            let refused = user.start_checkout(input).await.expect_err(state);
            assert_eq!(code_of(&refused), "ALREADY_SUBSCRIBED", "{state}");
        }
        app.stripe
            .change(&subscription, "customer.subscription.deleted", |one| one["status"] = json!("canceled"));
        assert_ne!(user.start_checkout(Value::Null).await.unwrap(), session);
    }
    app.stop().await;
}

#[tokio::test]
async fn nobody_is_led_away_from_the_front_end() {
    let app = selling().await;
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
            let refused = user.start_checkout(json!({ field: url })).await.unwrap_err();
            assert_eq!(code_of(&refused), "BAD_USER_INPUT", "{field} {url}");
            assert_eq!(refused["errors"][0]["extensions"]["field"], field);
        }
        let refused = user.ask_api(PORTAL, json!({ "to": url })).await;
        assert_eq!(refused["errors"][0]["extensions"]["field"], "returnUrl", "{url}");
    }
    assert_eq!(app.stripe.calls("POST /v1/checkout/sessions").len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn the_portal_leads_back_to_the_front_end() {
    let app = selling().await;
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
async fn a_server_that_sells_nothing_says_what_it_lacks() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for (query, missing) in [
        (START, "set STRIPE_SECRET_KEY, STRIPE_PRO_PRICE_ID, STRIPE_WEBHOOK_SECRET, FRONTEND_URL."),
        (PORTAL, "set STRIPE_SECRET_KEY."),
    ] {
        let refused = user.ask_api(query, json!({})).await;
        assert_eq!(code_of(&refused), "BILLING_NOT_CONFIGURED");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(missing), "{message}");
    }
    let nothing =
        json!({"tier": "BASIC", "state": "NONE", "currentPeriodEnd": null, "cancelAtPeriodEnd": false});
    assert_eq!(user.subscription().await, nothing);
    let event = app.stripe.event("invoice.paid", json!({"customer": "cus_1"}));
    assert_eq!(app.stripe.tell(&user.http, app.address, &event).await, 503);
    app.stop().await;
}

#[tokio::test]
async fn faults_of_stripe_are_waited_out_and_then_told() {
    let settings = ["--stripe-timeout=1"];
    let app = TestApp::with(Wishes { sells: true, settings: &settings, ..Wishes::default() }).await;
    let user = app.user().await;
    let never = Gate::closed();
    for fault in [Fault::Status(429), Fault::Status(503), Fault::Html, Fault::Wait(never)] {
        app.stripe.fails(fault);
        user.start_checkout(Value::Null).await.unwrap();
    }
    assert_eq!(app.stripe.customers().len(), 1);
    for _ in 0..3 {
        app.stripe.fails(Fault::Status(503));
    }
    let refused = user.start_checkout(Value::Null).await.unwrap_err();
    assert_eq!(code_of(&refused), "PAYMENT_PROVIDER_ERROR");
    let told = refused.to_string();
    assert!(!told.contains("sk_test") && !told.contains("as the test wanted it"), "{told}");
    // One that says that the caller is wrong is not asked again.
    app.stripe.fails(Fault::Status(402));
    assert_eq!(code_of(&user.start_checkout(Value::Null).await.unwrap_err()), "PAYMENT_PROVIDER_ERROR");
    user.start_checkout(Value::Null).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn calls_that_are_after_different_pages_leave_one_open() {
    let app = selling_at(NOON).await;
    let user = app.user().await;
    let inputs = (0..6).map(|number| json!({"cancelUrl": format!("{FRONTEND}/{number}")}));
    join_all(inputs.map(|input| user.start_checkout(input))).await;
    let last = user.start_checkout(json!({"cancelUrl": format!("{FRONTEND}/last")})).await.unwrap();
    assert_eq!(app.stripe.open_sessions(), 1);
    assert_eq!(user.checkout_status(&last).await, "OPEN");
    app.stop().await;
}

#[tokio::test]
async fn a_fault_that_stripe_remembers_is_gone_within_a_minute() {
    let app = selling_at(NOON).await;
    let user = app.user().await;
    for _ in 0..2 {
        app.stripe.fails(Fault::Status(500));
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
async fn a_customer_that_stripe_knows_no_more_is_made_anew() {
    let app = selling_at(NOON).await;
    let user = app.user().await;
    let first = user.start_checkout(Value::Null).await.unwrap();
    for _ in 0..2 {
        let old = app.stripe.customers()[0]["id"].as_str().unwrap().to_owned();
        app.stripe.forgets(&old);
        app.clock.advance(TimeDelta::minutes(1));
        let elsewhere = json!({"cancelUrl": format!("{FRONTEND}/{old}")});
        assert_ne!(user.start_checkout(elsewhere).await.unwrap(), first);
        assert_eq!(app.stripe.customers().len(), 1);
        assert_ne!(app.stripe.customers()[0]["id"], old);
        assert_eq!(user.checkout_status(&first).await, "EXPIRED");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_stripe_never_told_is_asked_for() {
    let app = selling_at(NOON).await;
    let user = app.user().await;
    let mut watching = user.socket().await;
    watching.subscribe("account", ACCOUNT, &json!({})).await;
    let mut tier = async || {
        let event = watching.next().await.unwrap();
        event["payload"]["data"]["accountEvents"]["subscription"]["tier"].as_str().unwrap().to_owned()
    };
    assert_eq!(tier().await, "BASIC");
    let session = user.start_checkout(Value::Null).await.unwrap();
    let (subscription, _) = app.stripe.pay(&session);
    app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(tier().await, "PRO");
    app.stripe
        .change(&subscription, "customer.subscription.deleted", |one| one["status"] = json!("canceled"));
    app.clock.advance(TimeDelta::days(30));
    assert_eq!(tier().await, "BASIC");
    app.end().await;
}
