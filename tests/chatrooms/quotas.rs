//! Quotas of tokens, the quotas of each tier, and the usage that is returned to users.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, app::TestOptions, billing::billing_app_with, code_of};

/// The tokens that the fake model reports for each reply: 7 of the prompt, 5 of the answer and 3 of thoughts.
const REPLY_TOKENS: i64 = 15;

const USAGE: &str = "{ me { usage { used limit remaining resetsAt
    dailyTokens { used limit remaining resetsAt } monthlyTokens { used limit remaining resetsAt }
    history { date prompts tokens } } } }";

async fn usage(user: &TestUser) -> Value {
    user.data(USAGE, json!({})).await["me"]["usage"].take()
}

/// Returns the tokens that were used on this day and in this month.
async fn tokens(user: &TestUser) -> (i64, i64) {
    let usage = usage(user).await;
    let used = |period: &str| usage[period]["used"].as_i64().unwrap();
    (used("dailyTokens"), used("monthlyTokens"))
}

/// Checks that the error is `QUOTA_EXCEEDED`, and returns its fields `quota`, `limit` and `used`.
fn exceeded_quota(error: &Value) -> (&Value, &Value, &Value) {
    assert_eq!(code_of(error), "QUOTA_EXCEEDED", "{error}");
    let extensions = &error["errors"][0]["extensions"];
    (&extensions["quota"], &extensions["limit"], &extensions["used"])
}

/// Signs the user in with a new token, because the earlier one has expired since the clock was advanced.
async fn with_new_token(app: &TestApp, user: &TestUser) -> TestUser {
    app.sign_in_as(&user.phone_number).await
}

#[tokio::test]
async fn fifty_concurrent_sends_exceed_a_token_budget_by_less_than_one_reply() {
    let settings = ["--basic-daily-limit=1000", "--basic-daily-tokens=100", "--reserved-tokens=15"];
    let app = TestApp::with_settings(&settings).await;
    let user = app.user().await;
    let chatrooms = join_all((0..10).map(|n| {
        let user = user.clone();
        async move { user.create_chatroom(&n.to_string()).await }
    }))
    .await;
    let gate = Gate::closed();
    let response_gate = gate.clone();
    app.gemini.respond_with(move |_| Script::new().wait(&response_gate).text("Yes.").finish("STOP"));
    let sends = (0..50).map(|n| chatrooms[n % 10].try_send(json!({"content": "hi"})));
    let (accepted, rejected): (Vec<_>, Vec<_>) = join_all(sends).await.into_iter().partition(Result::is_ok);
    // Six replies use 90 tokens; the seventh is accepted because fewer than 100 are used.
    assert_eq!((accepted.len(), rejected.len()), (7, 43));
    for rejection in rejected {
        let rejection = rejection.unwrap_err();
        assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_TOKENS"), &json!(100), &json!(105)));
    }
    assert_eq!(tokens(&user).await, (7 * REPLY_TOKENS, 7 * REPLY_TOKENS), "reserved tokens count as used");
    gate.open();
    for sent in accepted {
        user.read(&sent.unwrap().reply).await;
    }
    let usage = usage(&user).await;
    assert_eq!(usage["dailyTokens"]["used"], 105);
    assert_eq!(usage["dailyTokens"]["limit"], 100);
    assert_eq!(usage["dailyTokens"]["remaining"], 0);
    assert_eq!(usage["monthlyTokens"]["remaining"], Value::Null);
    assert_eq!(usage["history"][29]["tokens"], 105);
    app.stop().await;
}

#[tokio::test]
async fn a_completed_reply_releases_the_reserved_tokens_that_it_did_not_use() {
    let app = TestApp::with_settings(&["--basic-daily-tokens=50", "--reserved-tokens=50"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let mut account = user.socket().await;
    let subscription = "subscription { accountEvents { usage { dailyTokens { used } } } }";
    account.subscribe("account", subscription, &json!({})).await;
    let used =
        |event: Value| event["payload"]["data"]["accountEvents"]["usage"]["dailyTokens"]["used"].clone();
    assert_eq!(used(account.next().await.unwrap()), 0);
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().wait(&gate).text("Yes.").finish("STOP"));
    let first = chatroom.send("one").await;
    assert_eq!(used(account.next().await.unwrap()), 50);
    let rejection = chatroom.try_send(json!({"content": "two"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_TOKENS"), &json!(50), &json!(50)));
    gate.release_one();
    user.read(&first.reply).await;
    assert_eq!(used(account.next().await.unwrap()), REPLY_TOKENS);
    // Editing and regenerating reserve tokens as sending does.
    let edited = user.edit(&first.message, "one and a half").await.unwrap();
    user.read(&edited.reply).await;
    let regenerated = user.regenerate(&edited.reply).await.unwrap();
    user.read(&regenerated.reply).await;
    assert_eq!(tokens(&user).await, (3 * REPLY_TOKENS, 3 * REPLY_TOKENS));
    user.read(&chatroom.send("two").await.reply).await;
    for rejection in [
        chatroom.try_send(json!({"content": "three"})).await.unwrap_err(),
        user.regenerate(&regenerated.reply).await.unwrap_err(),
        user.edit(&first.message, "two").await.unwrap_err(),
    ] {
        assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_TOKENS"), &json!(50), &json!(60)));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_failed_reply_costs_no_tokens_and_a_stopped_one_costs_what_was_written() {
    let app = TestApp::with_settings(&["--basic-daily-tokens=1000", "--reserved-tokens=1000"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let rejected = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}});
    app.gemini.enqueue(Script::error(400, &rejected));
    user.read(&chatroom.send("hi").await.reply).await;
    assert_eq!((user.used().await, tokens(&user).await), (0, (0, 0)));

    // The model has not reported its tokens before the stop. The question and the answer have 40 bytes each, which are estimated
    // at 10 tokens each (4 bytes a token).
    let text = "x".repeat(40);
    let part = json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]});
    app.gemini.enqueue(Script::new().event(&part).hang());
    let chatroom = user.create_chatroom("y").await;
    let sent = chatroom.send(&"y".repeat(40)).await;
    user.follow(&sent.reply, None).await.read_until(&text).await;
    user.stop(&sent.reply).await;
    assert_eq!((user.used().await, tokens(&user).await), (1, (20, 20)));
    app.stop().await;
}

#[tokio::test]
async fn deleting_a_chatroom_refunds_nothing() {
    let app = TestApp::with_settings(&["--basic-daily-tokens=100", "--reserved-tokens=60"]).await;
    let user = app.user().await;
    for _ in 0..2 {
        app.gemini.enqueue(Script::new().text("Yes").hang());
        let chatroom = user.create_chatroom("x").await;
        let sent = chatroom.send("hi").await;
        user.follow(&sent.reply, None).await.read_until("Yes").await;
        let delete = "mutation($id: ID!) { deleteChatroom(input: { id: $id }) { deletedId } }";
        user.data(delete, json!({ "id": chatroom.id })).await;
    }
    let rejection = user.create_chatroom("x").await.try_send(json!({"content": "hi"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_TOKENS"), &json!(100), &json!(120)));
    app.stop().await;
}

#[tokio::test]
async fn tokens_of_earlier_days_count_until_the_month_ends() {
    let settings = ["--basic-monthly-tokens=30", "--basic-daily-tokens=20", "--reserved-tokens=1"];
    let clock = pollux::clock::Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap());
    let app =
        TestApp::with(TestOptions { settings: &settings, clock: Some(clock), ..TestOptions::default() })
            .await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    user.read(&chatroom.send("one").await.reply).await;
    user.read(&chatroom.send("two").await.reply).await;
    let rejection = chatroom.try_send(json!({"content": "three"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection), (&json!("MONTHLY_TOKENS"), &json!(30), &json!(30)));
    assert_eq!(rejection["errors"][0]["extensions"]["resetsAt"], "2026-12-01T00:00:00+00:00");

    app.advance(TimeDelta::days(1)).await;
    let user = with_new_token(&app, &user).await;
    assert_eq!(tokens(&user).await, (0, 30));
    let chatroom = user.create_chatroom("x").await;
    let rejection = chatroom.try_send(json!({"content": "three"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection).0, "MONTHLY_TOKENS");

    app.advance(TimeDelta::days(9)).await;
    let user = with_new_token(&app, &user).await;
    let chatroom = user.create_chatroom("x").await;
    user.read(&chatroom.send("three").await.reply).await;
    assert_eq!(tokens(&user).await, (REPLY_TOKENS, REPLY_TOKENS));
    let history = usage(&user).await["history"].take();
    let days = history.as_array().unwrap();
    assert_eq!(days.len(), 30);
    assert_eq!(days[0], json!({"date": "2026-11-02", "prompts": 0, "tokens": 0}));
    assert_eq!(days[19], json!({"date": "2026-11-21", "prompts": 2, "tokens": 30}));
    assert_eq!(days[29], json!({"date": "2026-12-01", "prompts": 1, "tokens": 15}));
    app.stop().await;
}

#[tokio::test]
async fn quota_days_begin_at_midnight_of_the_configured_time_zone() {
    // Five seconds before midnight in Kolkata, which is five and a half hours ahead of UTC.
    let clock = pollux::clock::Clock::stopped("2026-11-21T18:29:55Z".parse().unwrap());
    let settings = ["--quota-time-zone=Asia/Kolkata", "--basic-daily-limit=1"];
    let app =
        TestApp::with(TestOptions { settings: &settings, clock: Some(clock), ..TestOptions::default() })
            .await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    let failure = json!({"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}});
    app.gemini.enqueue(Script::error(400, &failure).wait(&gate));
    let sent = chatroom.send("hi").await;
    let rejection = chatroom.try_send(json!({"content": "hi"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_PROMPTS"), &json!(1), &json!(1)));
    assert_eq!(usage(&user).await["resetsAt"], "2026-11-21T18:30:00+00:00");
    app.advance(TimeDelta::seconds(5)).await;
    assert_eq!(user.used().await, 0);
    // A failed reply is refunded to the day of its prompt, which was yesterday.
    user.read(&user.create_chatroom("y").await.send("hi").await.reply).await;
    gate.release_one();
    user.read(&sent.reply).await;
    assert_eq!(user.used().await, 1);
    assert_eq!(usage(&user).await["history"][28], json!({"date": "2026-11-21", "prompts": 0, "tokens": 0}));
    app.stop().await;
}

#[tokio::test]
async fn pro_users_have_their_own_limits() {
    let settings = ["--basic-daily-limit=1", "--pro-daily-limit=2", "--pro-monthly-tokens=1000"];
    let app = billing_app_with(pollux::clock::Clock::system(), &settings).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    user.read(&chatroom.send("one").await.reply).await;
    let rejection = chatroom.try_send(json!({"content": "two"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection).0, "DAILY_PROMPTS");
    assert_eq!(rejection["errors"][0]["extensions"]["upgradeable"], true);
    let session = user.start_checkout(Value::Null).await.unwrap();
    let (_, events) = app.stripe.complete_checkout(&session);
    for event in &events {
        assert_eq!(app.stripe.deliver(&user.http, app.address, event).await, 200);
    }
    assert_eq!(user.checkout_status(&session).await, "COMPLETE");
    user.read(&chatroom.send("two").await.reply).await;
    let usage = usage(&user).await;
    assert_eq!((&usage["used"], &usage["limit"], &usage["remaining"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(usage["monthlyTokens"]["remaining"], 1000 - 2 * REPLY_TOKENS);
    let rejection = chatroom.try_send(json!({"content": "three"})).await.unwrap_err();
    assert_eq!(exceeded_quota(&rejection), (&json!("DAILY_PROMPTS"), &json!(2), &json!(2)));
    assert_eq!(rejection["errors"][0]["extensions"]["upgradeable"], false);
    app.stop().await;
}
