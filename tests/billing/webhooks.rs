//! What Stripe tells: who may tell it, in which order, how often, and what comes of it.

use chrono::TimeDelta;
use pollux::clock::Clock;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Gate, TestUser,
    billing::{NOON, START, customer, selling, selling_at},
    process::{Process, Site},
    socket::PATIENCE,
    stripe::{Fault, WEBHOOK_SECRET, post_webhook, sign},
};

#[tokio::test]
async fn what_stripes_own_library_signs_is_believed() {
    let written: Value = serde_json::from_str(include_str!("../fixtures/stripe/signatures.json")).unwrap();
    let vectors = written["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for secret in ["whsec_one", "whsec_andanother0123456789abcdef"] {
        let setting = format!("--stripe-webhook-secret={secret}");
        let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &[&setting]).await;
        let http = app.stranger().http;
        for vector in vectors {
            let (body, header) = (vector["payload"].as_str().unwrap(), vector["header"].as_str().unwrap());
            let (status, _) = post_webhook(&http, app.address, body.to_owned(), header).await;
            assert_eq!(status == 200, vector["secret"] == secret, "{vector}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_signed_now_by_stripe_is_refused_and_leaves_nothing() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &[]).await;
    let (user, customer) = customer(&app).await;
    let id = app.stripe.subscribe(&customer, "active");
    let event = app.stripe.change(&id, "customer.subscription.created", |_| {}).to_string();
    let now = app.clock.now().timestamp();
    let good = sign(&event, now, WEBHOOK_SECRET);
    let (time, signature) = good.split_once(',').unwrap();
    let other = sign(&event, now, "whsec_other");
    for header in [
        String::new(),
        "nonsense".to_owned(),
        time.to_owned(),
        signature.to_owned(),
        other.clone(),
        format!("t={},{signature}", now + 1),
        format!("{time},{}", signature.replace("v1=", "v0=")),
        format!("{time},{}", &signature[..signature.len() - 2]),
        format!("{time},v1=zz"),
        sign(&event, now - 301, WEBHOOK_SECRET),
        sign(&event, now + 301, WEBHOOK_SECRET),
        sign(&format!("{event} "), now, WEBHOOK_SECRET),
    ] {
        let (status, said) = post_webhook(&user.http, app.address, event.clone(), &header).await;
        assert_eq!(status, 400, "{header}: {said}");
    }
    assert_eq!(app.stripe.calls("GET /v1/subscriptions").len(), 0);
    assert_eq!(user.subscription().await["tier"], "BASIC");
    let also_other = other.split_once(',').unwrap().1;
    for header in [
        sign(&event, now - 300, WEBHOOK_SECRET),
        sign(&event, now + 300, WEBHOOK_SECRET),
        format!("{time},{also_other},{signature}"),
        format!("{time}, v0=00, {signature}"),
    ] {
        let (status, _) = post_webhook(&user.http, app.address, event.clone(), &header).await;
        assert_eq!(status, 200, "{header}");
    }
    app.stop().await;
}

#[tokio::test]
async fn events_of_other_kinds_and_forms_are_let_go() {
    let app = selling().await;
    let http = app.stranger().http;
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
async fn both_shapes_of_stripes_api_are_read() {
    for (version, written) in [
        ("2024-06-20", include_str!("../fixtures/stripe/2024-06-20.json")),
        ("2025-03-31.basil", include_str!("../fixtures/stripe/2025-03-31.basil.json")),
    ] {
        let written: Value = serde_json::from_str(written).unwrap();
        for event in written["events"].as_array().unwrap() {
            // A fortnight into the period.
            let price = "--stripe-pro-price-id=price_1MowQULkdIwHu7ixraBm864M";
            let app = selling_at(Clock::stopped("2023-04-07T00:00:00Z".parse().unwrap()), &[price]).await;
            let (user, customer) = customer(&app).await;
            let (mut subscription, mut event) = (written["subscription"].clone(), event.clone());
            for object in [&mut subscription, &mut event["data"]["object"]] {
                object["customer"] = json!(customer);
            }
            app.stripe.has(subscription);
            assert_eq!(app.stripe.tell(&user.http, app.address, &event).await, 200);
            app.is_idle().await;
            let status = user.subscription().await;
            let expected = json!({"tier": "PRO", "state": "ACTIVE", "currentPeriodEnd": "2023-04-23T22:16:07+00:00",
                "cancelAtPeriodEnd": false});
            assert_eq!(status, expected, "{version} {}", event["type"]);
            app.stop().await;
        }
    }
}

#[tokio::test]
async fn each_state_of_stripes_gives_its_tier() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &[]).await;
    let month = app.clock.now() + TimeDelta::days(30);
    for (status, tier, state) in [
        ("active", "PRO", "ACTIVE"),
        ("trialing", "PRO", "TRIALING"),
        ("past_due", "PRO", "PAST_DUE"),
        ("unpaid", "BASIC", "UNPAID"),
        ("paused", "BASIC", "PAUSED"),
        ("incomplete", "BASIC", "INCOMPLETE"),
        ("incomplete_expired", "BASIC", "CANCELED"),
        ("canceled", "BASIC", "CANCELED"),
        ("a_status_of_next_year", "BASIC", "INCOMPLETE"),
    ] {
        let (user, customer) = customer(&app).await;
        let id = app.stripe.subscribe(&customer, status);
        let event = app.stripe.change(&id, "customer.subscription.updated", |_| {});
        app.stripe.tell(&user.http, app.address, &event).await;
        app.is_idle().await;
        let expected = json!({"tier": tier, "state": state, "currentPeriodEnd": month.to_rfc3339(),
            "cancelAtPeriodEnd": false});
        assert_eq!(user.subscription().await, expected, "{status}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_reading_whose_job_is_gone_is_told_all_the_same() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &["--worker-lease=1"]).await;
    let (user, customer) = customer(&app).await;
    let mut socket = user.socket().await;
    let follow = "subscription { accountEvents { subscription { tier } } }";
    socket.subscribe("1", follow, &json!({})).await;
    let tier = |message: &Value| message["payload"]["data"]["accountEvents"]["subscription"]["tier"].clone();
    assert_eq!(tier(&socket.next().await.unwrap()), "BASIC");
    let id = app.stripe.subscribe(&customer, "active");
    let event = app.stripe.change(&id, "customer.subscription.updated", |_| {});
    let gate = Gate::closed();
    app.stripe.fails(Fault::Wait(gate.clone()));
    app.stripe.tell(&user.http, app.address, &event).await;
    app.stripe.was_asked("GET /v1/subscriptions", 1).await;
    entity::job::Entity::delete_many().exec(app.chat.db.write()).await.unwrap();
    // Until it has been noticed that the job is gone.
    let beats = || {
        let said = app.statements.lock().unwrap();
        said.iter().filter(|one| one.starts_with("UPDATE") && one.contains("SET \"leased_until\"")).count()
    };
    let enough = beats() + 2;
    timeout(PATIENCE, async {
        while beats() < enough {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    gate.open();
    assert_eq!(tier(&socket.next().await.unwrap()), "PRO");
    app.stop().await;
}

#[tokio::test]
async fn grace_and_the_end_of_a_period_pass_by_themselves() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &["--rate-limits=off"]).await;
    let told = async |status: &str, change: fn(&mut Value)| {
        let (user, customer) = customer(&app).await;
        let id = app.stripe.subscribe(&customer, status);
        let event = app.stripe.change(&id, "customer.subscription.updated", change);
        app.stripe.tell(&user.http, app.address, &event).await;
        app.is_idle().await;
        assert_eq!(user.subscription().await["tier"], "PRO");
        user
    };
    let past_due = told("past_due", |_| {}).await;
    let ending = told("active", |one| one["cancel_at_period_end"] = json!(true)).await;
    let ending_by_date = told("active", |one| {
        one["cancel_at"] = one["items"]["data"][0]["current_period_end"].clone();
    })
    .await;
    for user in [&ending, &ending_by_date] {
        assert_eq!(user.subscription().await["cancelAtPeriodEnd"], true);
    }
    let tiers = async || {
        let mut tiers = Vec::new();
        for user in [&past_due, &ending, &ending_by_date] {
            let user = user.signed_in(&user.phone_number).await;
            tiers.push(user.subscription().await["tier"].as_str().unwrap().to_owned());
        }
        tiers
    };
    // Whatever Stripe would say, it says nothing.
    app.stripe.is_down(true);
    app.clock.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!(tiers().await, ["PRO", "PRO", "PRO"]);
    app.clock.advance(TimeDelta::seconds(1));
    assert_eq!(tiers().await, ["BASIC", "PRO", "PRO"]);
    app.clock.advance(TimeDelta::days(23));
    assert_eq!(tiers().await, ["BASIC", "BASIC", "BASIC"]);
    app.end().await;
}

#[tokio::test]
async fn an_event_waits_for_stripe_to_answer() {
    let app = selling_at(Clock::stopped(NOON.parse().unwrap()), &[]).await;
    let (user, customer) = customer(&app).await;
    let id = app.stripe.subscribe(&customer, "active");
    let event = app.stripe.change(&id, "customer.subscription.created", |_| {});
    app.stripe.fails(Fault::Status(400));
    app.stripe.fails(Fault::Status(400));
    assert_eq!(app.stripe.tell(&user.http, app.address, &event).await, 200);
    // Twice as long each time, more or less.
    for failures in [1, 2] {
        app.has_put_off(failures).await;
        app.clock.advance(TimeDelta::seconds(i64::from(failures) * 5 / 4 + 1));
    }
    app.is_idle().await;
    assert_eq!(user.subscription().await["tier"], "PRO");
    assert_eq!(app.stripe.calls("GET /v1/subscriptions").len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn an_event_can_be_replayed_and_one_that_never_came() {
    let site = Site::new().await;
    let stripe = crate::support::Stripe::start(Clock::system()).await;
    let settings = stripe.environment();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = site.start_with(&[], &settings).await;
    let user = TestUser::sign_in(server.address, "+14155550123").await;
    let data = user.data(START, json!({})).await;
    let (id, events) = stripe.pay(data["startCheckout"]["sessionId"].as_str().unwrap());
    let replay = async |event: &Value| {
        let mut command = Process::command(site.directory.path());
        command.args(["stripe", "replay", event["id"].as_str().unwrap()]);
        command.envs(site.backend.environment()).envs(settings.iter().copied());
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let mut watching = user.socket().await;
    watching
        .subscribe("account", "subscription { accountEvents { subscription { state } } }", &json!({}))
        .await;
    let mut state = async || {
        watching.next().await.unwrap()["payload"]["data"]["accountEvents"]["subscription"]["state"].take()
    };
    assert_eq!(state().await, "NONE");
    replay(&events[0]).await;
    assert_eq!(state().await, "ACTIVE");
    stripe.change(&id, "customer.subscription.updated", |one| one["status"] = json!("past_due"));
    replay(&events[0]).await;
    assert_eq!(state().await, "PAST_DUE");
    server.terminate();
    assert!(server.ended().await);
}
