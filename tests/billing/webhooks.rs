//! Events from Stripe's webhook: signatures, ignored events, the subscription states that follow, retries and replay.

use chrono::TimeDelta;
use pollux::clock::Clock;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Gate, TestUser,
    billing::{NOON, START_CHECKOUT, billing_app, billing_app_at_noon, billing_app_with, user_with_customer},
    process::{Deployment, Process},
    socket::TEST_TIMEOUT,
    stripe::{Fault, WEBHOOK_SECRET, post_webhook, sign},
};

#[tokio::test]
async fn webhook_signed_by_stripes_library_is_accepted_with_the_right_secret() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/stripe/signatures.json")).unwrap();
    let vectors = fixture["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for secret in ["whsec_one", "whsec_andanother0123456789abcdef"] {
        let setting = format!("--stripe-webhook-secret={secret}");
        let app = billing_app_with(Clock::stopped(NOON.parse().unwrap()), &[&setting]).await;
        let http = app.anonymous().http;
        for vector in vectors {
            let (body, header) = (vector["payload"].as_str().unwrap(), vector["header"].as_str().unwrap());
            let (status, _) = post_webhook(&http, app.address, body.to_owned(), header).await;
            assert_eq!(status == 200, vector["secret"] == secret, "{vector}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn webhook_with_an_invalid_signature_is_rejected_and_changes_nothing() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    let id = app.stripe.create_subscription(&customer, "active");
    let event = app.stripe.update_subscription(&id, "customer.subscription.created", |_| {}).to_string();
    let now = app.clock.now().timestamp();
    let valid = sign(&event, now, WEBHOOK_SECRET);
    let (time, signature) = valid.split_once(',').unwrap();
    let with_other_secret = sign(&event, now, "whsec_other");
    for header in [
        String::new(),
        "nonsense".to_owned(),
        time.to_owned(),
        signature.to_owned(),
        with_other_secret.clone(),
        format!("t={},{signature}", now + 1),
        format!("{time},{}", signature.replace("v1=", "v0=")),
        format!("{time},{}", &signature[..signature.len() - 2]),
        format!("{time},v1=zz"),
        sign(&event, now - 301, WEBHOOK_SECRET),
        sign(&event, now + 301, WEBHOOK_SECRET),
        sign(&format!("{event} "), now, WEBHOOK_SECRET),
    ] {
        let (status, text) = post_webhook(&user.http, app.address, event.clone(), &header).await;
        assert_eq!(status, 400, "{header}: {text}");
    }
    assert_eq!(app.stripe.calls("GET /v1/subscriptions").len(), 0);
    assert_eq!(user.subscription().await["tier"], "BASIC");
    let other_signature = with_other_secret.split_once(',').unwrap().1;
    // A timestamp may differ by 300 seconds, and one of several signatures must be valid.
    for header in [
        sign(&event, now - 300, WEBHOOK_SECRET),
        sign(&event, now + 300, WEBHOOK_SECRET),
        format!("{time},{other_signature},{signature}"),
        format!("{time}, v0=00, {signature}"),
    ] {
        let (status, _) = post_webhook(&user.http, app.address, event.clone(), &header).await;
        assert_eq!(status, 200, "{header}");
    }
    app.stop().await;
}

#[tokio::test]
async fn irrelevant_and_malformed_events_are_acknowledged_and_ignored() {
    let app = billing_app().await;
    let http = app.anonymous().http;
    let bodies = [
        app.stripe.event("radar.early_fraud_warning.created", json!({"customer": "cus_1"})).to_string(),
        app.stripe.event("invoice.paid", json!({"customer": null})).to_string(),
        app.stripe.event("invoice.paid", json!({})).to_string(),
        app.stripe.event("invoice.paid", json!({"customer": "cus_of_another_product"})).to_string(),
        app.stripe
            .event("invoice.paid", json!({"customer": {"id": "cus_expanded", "object": "customer"}}))
            .to_string(),
        "[]".to_owned(),
        "{".to_owned(),
    ];
    for body in bodies {
        let signature = sign(&body, app.clock.now().timestamp(), WEBHOOK_SECRET);
        assert_eq!(post_webhook(&http, app.address, body, &signature).await.0, 200);
    }
    let long = "x".repeat(512 * 1024 + 1);
    let signature = sign(&long, app.clock.now().timestamp(), WEBHOOK_SECRET);
    assert_eq!(post_webhook(&http, app.address, long, &signature).await.0, 413);
    let get = http.get(format!("http://{}/webhook/stripe", app.address)).send().await.unwrap();
    assert_eq!(get.status(), 405);
    app.stop().await;
}

#[tokio::test]
async fn old_and_new_api_versions_give_the_same_state() {
    for (version, fixture) in [
        ("2024-06-20", include_str!("../fixtures/stripe/2024-06-20.json")),
        ("2025-03-31.basil", include_str!("../fixtures/stripe/2025-03-31.basil.json")),
    ] {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        for event in fixture["events"].as_array().unwrap() {
            let price = "--stripe-pro-price-id=price_1MowQULkdIwHu7ixraBm864M";
            // Two weeks after the start of the subscription's period.
            let app =
                billing_app_with(Clock::stopped("2023-04-07T00:00:00Z".parse().unwrap()), &[price]).await;
            let (user, customer) = user_with_customer(&app).await;
            let (mut subscription, mut event) = (fixture["subscription"].clone(), event.clone());
            for object in [&mut subscription, &mut event["data"]["object"]] {
                object["customer"] = json!(customer);
            }
            app.stripe.add_subscription(subscription);
            assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 200);
            app.wait_until_idle().await;
            let status = user.subscription().await;
            let expected = json!({"tier": "PRO", "state": "ACTIVE", "currentPeriodEnd": "2023-04-23T22:16:07+00:00",
                "cancelAtPeriodEnd": false});
            assert_eq!(status, expected, "{version} {}", event["type"]);
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn each_subscription_status_gives_its_tier_and_state() {
    let app = billing_app_at_noon().await;
    let period_end = app.clock.now() + TimeDelta::days(30);
    for (status, tier, state) in [
        ("active", "PRO", "ACTIVE"),
        ("trialing", "PRO", "TRIALING"),
        ("past_due", "PRO", "PAST_DUE"),
        ("unpaid", "BASIC", "UNPAID"),
        ("paused", "BASIC", "PAUSED"),
        ("incomplete", "BASIC", "INCOMPLETE"),
        ("incomplete_expired", "BASIC", "CANCELED"),
        ("canceled", "BASIC", "CANCELED"),
        ("a_status_of_a_later_version", "BASIC", "INCOMPLETE"),
    ] {
        let (user, customer) = user_with_customer(&app).await;
        let id = app.stripe.create_subscription(&customer, status);
        let event = app.stripe.update_subscription(&id, "customer.subscription.updated", |_| {});
        app.stripe.deliver(&user.http, app.address, &event).await;
        app.wait_until_idle().await;
        let expected = json!({"tier": tier, "state": state, "currentPeriodEnd": period_end.to_rfc3339(),
            "cancelAtPeriodEnd": false});
        assert_eq!(user.subscription().await, expected, "{status}");
    }
    app.stop().await;
}

#[tokio::test]
async fn sync_whose_job_was_deleted_still_notifies_the_user() {
    let app = billing_app_with(Clock::stopped(NOON.parse().unwrap()), &["--worker-lease=1"]).await;
    let (user, customer) = user_with_customer(&app).await;
    let mut socket = user.socket().await;
    let subscription = "subscription { accountEvents { subscription { tier } } }";
    socket.subscribe("1", subscription, &json!({})).await;
    let tier = |message: &Value| message["payload"]["data"]["accountEvents"]["subscription"]["tier"].clone();
    assert_eq!(tier(&socket.next().await.unwrap()), "BASIC");
    let id = app.stripe.create_subscription(&customer, "active");
    let event = app.stripe.update_subscription(&id, "customer.subscription.updated", |_| {});
    let gate = Gate::closed();
    app.stripe.enqueue_fault(Fault::DelayProcessing(gate.clone()));
    app.stripe.deliver(&user.http, app.address, &event).await;
    app.stripe.wait_for_calls("GET /v1/subscriptions", 1).await;
    entity::job::Entity::delete_many().exec(app.chatrooms.db.write()).await.unwrap();
    // Waits for two heartbeats, so that the worker has noticed that the job is gone.
    let heartbeats = || {
        let statements = app.statements.lock().unwrap();
        statements
            .iter()
            .filter(|sql| sql.starts_with("UPDATE") && sql.contains("SET \"leased_until\""))
            .count()
    };
    let expected = heartbeats() + 2;
    timeout(TEST_TIMEOUT, async {
        while heartbeats() < expected {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    gate.release_one();
    assert_eq!(tier(&socket.next().await.unwrap()), "PRO");
    app.stop().await;
}

#[tokio::test]
async fn grace_periods_and_cancelled_periods_end_without_events() {
    let app = billing_app_with(Clock::stopped(NOON.parse().unwrap()), &["--rate-limits=off"]).await;
    // Returns a new user with a subscription.
    let subscribe = async |status: &str, change: fn(&mut Value)| {
        let (user, customer) = user_with_customer(&app).await;
        let id = app.stripe.create_subscription(&customer, status);
        let event = app.stripe.update_subscription(&id, "customer.subscription.updated", change);
        app.stripe.deliver(&user.http, app.address, &event).await;
        app.wait_until_idle().await;
        assert_eq!(user.subscription().await["tier"], "PRO");
        user
    };
    let past_due = subscribe("past_due", |_| {}).await;
    let ending = subscribe("active", |subscription| subscription["cancel_at_period_end"] = json!(true)).await;
    let ending_by_date = subscribe("active", |subscription| {
        subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"].clone();
    })
    .await;
    for user in [&ending, &ending_by_date] {
        assert_eq!(user.subscription().await["cancelAtPeriodEnd"], true);
    }
    let tiers = async || {
        let mut tiers = Vec::new();
        for user in [&past_due, &ending, &ending_by_date] {
            // The access token has expired with the time that passed.
            let user = user.sign_in_as(&user.phone_number).await;
            tiers.push(user.subscription().await["tier"].as_str().unwrap().to_owned());
        }
        tiers
    };
    // Stripe is down, so that tiers can change only because time passes.
    app.stripe.set_down(true);
    app.clock.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(tiers().await, ["PRO", "PRO", "PRO"]);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(tiers().await, ["BASIC", "PRO", "PRO"]);
    app.clock.advance(TimeDelta::days(23));
    assert_eq!(tiers().await, ["BASIC", "BASIC", "BASIC"]);
    app.shut_down().await;
}

#[tokio::test]
async fn event_is_retried_with_backoff_until_its_call_of_stripe_succeeds() {
    let app = billing_app_at_noon().await;
    let (user, customer) = user_with_customer(&app).await;
    let id = app.stripe.create_subscription(&customer, "active");
    let event = app.stripe.update_subscription(&id, "customer.subscription.created", |_| {});
    // The server does not repeat a call that failed with 400, so two attempts of the job fail.
    app.stripe.enqueue_fault(Fault::Status(400));
    app.stripe.enqueue_fault(Fault::Status(400));
    assert_eq!(app.stripe.deliver(&user.http, app.address, &event).await, 200);
    // The delay is 1 s after the first failure and 2 s after the second, each up to a quarter longer or shorter.
    for failures in [1, 2] {
        app.wait_for_retry(failures).await;
        app.clock.advance(TimeDelta::seconds(i64::from(failures) * 5 / 4 + 1));
    }
    app.wait_until_idle().await;
    assert_eq!(user.subscription().await["tier"], "PRO");
    assert_eq!(app.stripe.calls("GET /v1/subscriptions").len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn replay_processes_stored_events_and_events_that_never_arrived() {
    let deployment = Deployment::new().await;
    let stripe = crate::support::FakeStripe::start(Clock::system()).await;
    let settings = stripe.environment();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = deployment.start_with(&[], &settings).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    let data = user.data(START_CHECKOUT, json!({})).await;
    let (id, events) = stripe.complete_checkout(data["startCheckout"]["sessionId"].as_str().unwrap());
    let replay = async |event: &Value| {
        let mut command = Process::command(deployment.directory.path());
        command.args(["stripe", "replay", event["id"].as_str().unwrap()]);
        command.envs(deployment.backend.environment()).envs(settings.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let mut socket = user.socket().await;
    socket
        .subscribe("account", "subscription { accountEvents { subscription { state } } }", &json!({}))
        .await;
    let mut next_state = async || {
        socket.next().await.unwrap()["payload"]["data"]["accountEvents"]["subscription"]["state"].take()
    };
    assert_eq!(next_state().await, "NONE");
    // No event was delivered, so the first replay reads the event from Stripe and stores it.
    replay(&events[0]).await;
    assert_eq!(next_state().await, "ACTIVE");
    stripe.update_subscription(&id, "customer.subscription.updated", |subscription| {
        subscription["status"] = json!("past_due");
    });
    // The event is stored now.
    replay(&events[0]).await;
    assert_eq!(next_state().await, "PAST_DUE");
    server.terminate();
    assert!(server.wait_for_exit().await);
}
