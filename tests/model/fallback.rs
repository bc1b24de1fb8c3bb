//! Which model writes a reply: the chatroom's, or another one if that is unavailable or no longer allowed.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use entity::{UserId, subscription};
use pollux::{clock::Clock, store::subscriptions};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};

use crate::support::{
    FakeOpenAi, Script, TestApp, TestUser,
    app::TestOptions,
    openai::{self, reply},
    stripe::insert_customer,
};

/// A server with Gemini's `model-a` as the default and two models of an OpenAI-compatible server. Its clock is stopped.
async fn start(openai: &FakeOpenAi, more_settings: &[&str]) -> TestApp {
    let noon = "2026-11-21T12:00:00Z".parse().unwrap();
    start_with_clock(openai, more_settings, Some(Clock::stopped(noon))).await
}

/// Like [`start`], with another clock, or by default the system's. Failed attempts are retried only if the clock is not stopped.
async fn start_with_clock(openai: &FakeOpenAi, more_settings: &[&str], clock: Option<Clock>) -> TestApp {
    let settings = openai.settings("gpt-a,gpt-b");
    let settings: Vec<&str> = settings
        .iter()
        .map(String::as_str)
        .chain(["--basic-daily-limit=1000"])
        .chain(more_settings.iter().copied())
        .collect();
    TestApp::with(TestOptions { settings: &settings, clock, ..TestOptions::default() }).await
}

/// Sends a message in a new chatroom and returns its finished reply.
async fn request_reply(user: &TestUser, model: &str) -> Value {
    let sent = user.create_chatroom_with(json!({"title": "x", "model": model })).await.send("hi").await;
    let followed = user.read(&sent.reply).await;
    assert_eq!(followed.restarts, 0, "the fallback must be part of the first attempt");
    user.message(&sent.reply).await
}

/// Gives the user the Pro tier for 30 days, or removes it.
async fn set_pro(app: &TestApp, user: &TestUser, is_pro: bool) {
    let (db, id) = (app.chatrooms.db.write(), user.id.parse::<UserId>().unwrap());
    if subscriptions::of_user(db, id).await.unwrap().is_none() {
        insert_customer(db, id, &format!("cus_{}", user.id), app.clock.now()).await;
    }
    let until = is_pro.then(|| app.clock.now() + TimeDelta::days(30));
    subscription::Entity::update_many()
        .col_expr(subscription::Column::ProUntil, Expr::value(until))
        .filter(subscription::Column::UserId.eq(id))
        .exec(db)
        .await
        .unwrap();
}

/// The setting of a Gemini that refuses connections.
fn unreachable_gemini() -> String {
    // The listener is dropped at once, so that nothing accepts connections at its address.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("--gemini-base-url=http://{closed}")
}

#[tokio::test]
async fn an_unavailable_model_is_replaced_by_one_of_another_provider() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &[]).await;
    let user = app.user().await;
    let calls = || (app.gemini.calls().len(), openai.calls().len());
    for (index, unavailable) in [
        Script::gemini_error(404, "NOT_FOUND", json!([])),
        Script::status(503),
        // The response ends before it has any text.
        Script::new(),
        Script::new().event(&json!({"candidates": []})),
        Script::new().raw("data: {\"cand").disconnect(),
    ]
    .into_iter()
    .enumerate()
    {
        app.gemini.enqueue(unavailable);
        let message = request_reply(&user, "model-a").await;
        assert_eq!(message["status"], "COMPLETED", "{message}");
        assert_eq!((&message["content"], &message["model"]), (&json!("Yes."), &json!("gpt-a-2026-01-01")));
        assert_eq!(message["tokens"]["total"], 15);
        // This call of `model-a` succeeds, so that its circuit breaker does not open after three rounds.
        request_reply(&user, "model-a").await;
        assert_eq!(calls(), (2 * (index + 1), index + 1), "two calls of Gemini and one of OpenAI per round");
        assert_eq!(openai.calls()[index].body["model"], "gpt-a", "the next model in the list must reply");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_unreachable_provider_is_replaced_by_the_next_without_delay() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &[&unreachable_gemini(), "--gemini-models=model-b,model-c"]).await;
    let user = app.user().await;
    let started = Instant::now();
    for model in ["model-a", "model-c"] {
        assert_eq!(request_reply(&user, model).await["model"], "gpt-a-2026-01-01");
    }
    // Less than the timeout for a connection, which is ten seconds.
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    assert_eq!(openai.calls().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_reply_that_has_text_is_not_continued_by_another_model() {
    let openai = FakeOpenAi::start().await;
    let app = start_with_clock(&openai, &[], None).await;
    let user = app.user().await;
    app.gemini.enqueue(Script::new().text("Half"));
    app.gemini.enqueue(Script::reply(["Whole"]));
    let sent = user.create_chatroom_with(json!({"title": "x"})).await.send("hi").await;
    let followed = user.read(&sent.reply).await;
    assert_eq!((followed.text.as_str(), openai.calls().len()), ("Whole", 0));
    app.stop().await;
}

#[tokio::test]
async fn errors_other_than_unavailability_cause_no_fallback() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &[]).await;
    let user = app.user().await;
    for (status, code) in [(400, "MODEL_REJECTED"), (401, "MISCONFIGURED")] {
        app.gemini.enqueue(Script::status(status));
        assert_eq!(request_reply(&user, "model-a").await["failure"]["code"], code);
    }
    app.gemini.enqueue(Script::new().finish("SAFETY"));
    assert_eq!(request_reply(&user, "model-a").await["failure"]["code"], "CONTENT_BLOCKED");
    assert!(openai.calls().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn each_model_is_tried_once_in_an_attempt_and_then_the_attempt_is_retried() {
    let openai = FakeOpenAi::start().await;
    let app = start_with_clock(&openai, &[], None).await;
    let user = app.user().await;
    app.gemini.enqueue(Script::status(503));
    openai.enqueue(Script::status(404));
    openai.enqueue(Script::status(404));
    // The second attempt calls Gemini again.
    app.gemini.enqueue(Script::reply(["Good"]));
    let sent = user.create_chatroom_with(json!({"title": "x"})).await.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Good");
    let names: Vec<Value> = openai.calls().iter().map(|call| call.body["model"].clone()).collect();
    assert_eq!((app.gemini.calls().len(), names), (2, vec![json!("gpt-a"), json!("gpt-b")]));
    app.stop().await;
}

#[tokio::test]
async fn an_open_circuit_breaker_skips_the_model_until_a_later_call_succeeds() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &[]).await;
    let user = app.user().await;
    app.gemini.respond_with(|_| Script::status(503));
    for expected_calls in [1, 2, 3, 3, 3] {
        assert_eq!(request_reply(&user, "model-a").await["model"], "gpt-a-2026-01-01");
        assert_eq!(app.gemini.calls().len(), expected_calls);
    }
    // After 30 seconds, one reply calls the model, which fails, so that the next reply skips the model.
    app.advance(TimeDelta::seconds(30)).await;
    for expected_calls in [4, 4] {
        assert_eq!(request_reply(&user, "model-a").await["model"], "gpt-a-2026-01-01");
        assert_eq!(app.gemini.calls().len(), expected_calls);
    }
    app.gemini.respond_with(|_| Script::reply(["Back"]));
    app.advance(TimeDelta::seconds(30)).await;
    for expected_calls in [5, 6] {
        assert_eq!(request_reply(&user, "model-a").await["content"], "Back");
        assert_eq!(app.gemini.calls().len(), expected_calls);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_only_model_is_called_even_if_its_circuit_breaker_is_open() {
    let app = TestApp::start().await;
    let user = app.user().await;
    // The first reply fails after four attempts, and three failures open the circuit breaker.
    (0..4).for_each(|_| app.gemini.enqueue(Script::status(503)));
    assert_eq!(request_default_reply(&user).await["failure"]["code"], "MODEL_UNAVAILABLE");
    assert_eq!(request_default_reply(&user).await["content"], "Yes.");
    app.stop().await;
}

/// Sends a message in a new chatroom with the default model and returns its finished reply.
async fn request_default_reply(user: &TestUser) -> Value {
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.read(&sent.reply).await;
    user.message(&sent.reply).await
}

#[tokio::test]
async fn a_pro_model_is_rejected_on_basic_and_allowed_on_pro() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &["--pro-models=gpt-a"]).await;
    let user = app.user().await;
    let models = user.data("{ models { name tier } }", json!({})).await;
    let tiers: Vec<&str> =
        models["models"].as_array().unwrap().iter().map(|model| model["tier"].as_str().unwrap()).collect();
    assert_eq!(tiers, ["BASIC", "PRO", "BASIC"]);
    let create =
        "mutation($model: String) { createChatroom(input: { model: $model }) { chatroom { id model } } }";
    let rejected = user.execute(create, json!({"model": "gpt-a"})).await;
    assert_eq!(rejected["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(rejected["errors"][0]["message"], "model gpt-a requires the PRO tier.");
    let chatroom = user.create_chatroom("x").await;
    let update = "mutation($id: ID!, $model: String) { updateChatroom(input: { id: $id, model: $model }) { chatroom { model } } }";
    assert_eq!(user.error_code(update, json!({"id": chatroom.id, "model": "gpt-a"})).await, "FORBIDDEN");
    set_pro(&app, &user, true).await;
    let updated = user.data(update, json!({"id": chatroom.id, "model": "gpt-a"})).await;
    assert_eq!(updated["updateChatroom"]["chatroom"]["model"], "gpt-a");
    app.stop().await;
}

#[tokio::test]
async fn the_default_model_replies_to_a_downgraded_user_and_no_pro_model_stands_in() {
    let openai = FakeOpenAi::start().await;
    let app = start(&openai, &["--pro-models=gpt-a"]).await;
    let user = app.user().await;
    set_pro(&app, &user, true).await;
    assert_eq!(request_reply(&user, "gpt-a").await["model"], "gpt-a-2026-01-01");
    let chatroom = user.create_chatroom_with(json!({"title": "x", "model": "gpt-a"})).await;
    set_pro(&app, &user, false).await;
    let sent = chatroom.send("hi").await;
    user.read(&sent.reply).await;
    assert_eq!(user.message(&sent.reply).await["model"], "model-a-001");
    // The chatroom keeps its model, which replies if the user has Pro again.
    let query = "query($id: ID!) { chatroom(id: $id) { model } }";
    assert_eq!(user.data(query, json!({"id": chatroom.id})).await["chatroom"]["model"], "gpt-a");
    // The default model fails. The next model that Basic users may use is gpt-b.
    app.gemini.enqueue(Script::status(503));
    openai.enqueue(reply(["From b"]));
    let sent = chatroom.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "From b");
    assert_eq!(openai.calls().last().unwrap().body["model"], "gpt-b");
    app.stop().await;
}

#[tokio::test]
async fn default_model_selects_the_default_of_any_provider() {
    let openai = FakeOpenAi::start().await;
    openai.respond_with(|_| openai::reply(["From b"]));
    let app = start(&openai, &["--default-model=gpt-b"]).await;
    let user = app.user().await;
    let models = user.data("{ models { name isDefault } }", json!({})).await;
    assert_eq!(models["models"][0], json!({"name": "gpt-b", "isDefault": true}));
    assert_eq!(request_default_reply(&user).await["content"], "From b");
    assert_eq!(openai.calls()[0].body["model"], "gpt-b");
    app.stop().await;
}
