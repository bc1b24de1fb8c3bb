//! Sending: one transaction, one unit of quota, safe to send again.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::{Gate, Script, TestApp, code_of};

#[tokio::test]
async fn fifty_at_once_with_a_limit_of_twenty_are_exactly_twenty() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let answers = join_all((0..50).map(|n| room.try_ask(json!({"content": format!("message {n}")})))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), refused.len()), (20, 30));
    let mut used: Vec<i64> = accepted.into_iter().map(|asked| asked.unwrap().used).collect();
    used.sort_unstable();
    assert_eq!(used, (1..=20).collect::<Vec<_>>());
    for refusal in refused {
        let refusal = refusal.unwrap_err();
        assert_eq!(code_of(&refusal), "QUOTA_EXCEEDED");
        let extensions = &refusal["errors"][0]["extensions"];
        assert_eq!((&extensions["limit"], &extensions["used"]), (&json!(20), &json!(20)));
        assert_eq!(extensions["upgradeable"], false, "billing is not configured");
        let resets_at: chrono::DateTime<chrono::Utc> =
            extensions["resetsAt"].as_str().unwrap().parse().unwrap();
        assert!(resets_at > app.clock.now() && resets_at <= app.clock.now() + TimeDelta::days(1));
        assert_eq!(resets_at.time(), chrono::NaiveTime::MIN);
    }
    assert_eq!(user.used().await, 20);
    assert_eq!(room.path().await.len(), 40, "refused messages left nothing behind");
    app.stop().await;
}

#[tokio::test]
async fn the_quota_begins_anew_at_midnight() {
    let app = TestApp::at_a_standstill().await;
    let user = app.user().await;
    let room = user.room("x").await;
    room.ask("one").await;
    assert_eq!(user.used().await, 1);
    app.pass(TimeDelta::hours(12)).await;
    let asked = "mutation($token: String!) { refreshToken(refreshToken: $token) { accessToken } }";
    let mut user = user.clone();
    let refreshed = user.data(asked, json!({ "token": user.refresh_token })).await;
    user.token = refreshed["refreshToken"]["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(user.used().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn the_same_key_twenty_times_at_once_is_one_message() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let input = json!({"content": "hi", "idempotencyKey": "k1"});
    let answers = join_all((0..20).map(|_| room.try_ask(input.clone()))).await;
    let first = answers[0].clone().unwrap();
    assert_eq!(first.used, 1);
    assert!(answers.iter().all(|answer| answer.as_ref() == Ok(&first)), "{answers:?}");
    assert_eq!(user.read(&first.reply).await.text, "Yes.");
    assert_eq!(app.gemini.calls().len(), 1);
    assert_eq!(room.path().await.len(), 2);
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_key_used_for_something_else_is_a_conflict_and_anothers_key_is_not() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    room.try_ask(json!({"content": "hi", "idempotencyKey": "k1"})).await.unwrap();
    let conflict = room.try_ask(json!({"content": "ho", "idempotencyKey": "k1"})).await.unwrap_err();
    assert_eq!(code_of(&conflict), "CONFLICT");
    let elsewhere = user.room("y").await.try_ask(json!({"content": "hi", "idempotencyKey": "k1"})).await;
    assert_eq!(code_of(&elsewhere.unwrap_err()), "CONFLICT");
    let other = app.user().await.room("z").await;
    assert_eq!(other.try_ask(json!({"content": "hi", "idempotencyKey": "k1"})).await.unwrap().used, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_refused_message_does_not_use_up_its_key() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1"]).await;
    let user = app.user().await;
    let room = user.room("x").await;
    app.gemini.answers(Script::fails(400, "INVALID_ARGUMENT", json!([])));
    let first = room.ask("one").await;
    let input = json!({"content": "two", "idempotencyKey": "k"});
    if let Err(refused) = room.try_ask(input.clone()).await {
        assert_eq!(code_of(&refused), "QUOTA_EXCEEDED");
    }
    user.read(&first.reply).await;
    assert_eq!(room.try_ask(input).await.unwrap().used, 1, "the failed reply gave its unit back");
    app.stop().await;
}

#[tokio::test]
async fn content_has_limits() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    for content in [String::new(), "  \n".to_owned(), "x".repeat(32_001)] {
        let refused = room.try_ask(json!({ "content": content })).await.unwrap_err();
        assert_eq!(code_of(&refused), "BAD_USER_INPUT");
        assert_eq!(refused["errors"][0]["extensions"]["field"], "content");
    }
    let refused = room.try_ask(json!({"content": "x", "idempotencyKey": ""})).await.unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["field"], "idempotencyKey");
    let asked = room.ask(&"é".repeat(32_000)).await;
    user.read(&asked.reply).await;
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_regenerated_reply_takes_the_old_ones_place() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let asked = room.ask("Is it?").await;
    user.read(&asked.reply).await;
    let later = room.ask("And then?").await;
    user.read(&later.reply).await;
    app.gemini.answers(Script::says(["No", "!"]));
    let again = user.regenerate(&asked.reply).await.unwrap();
    assert_eq!((&again.message, again.used), (&asked.message, 3));
    assert_eq!(user.read(&again.reply).await.text, "No!");
    let path: Vec<String> = room.path().await.into_iter().map(|(_, content)| content).collect();
    assert_eq!(path, ["Is it?", "No!"], "the room goes on from the new reply");
    let versions = user.message(&asked.reply).await["alternatives"].clone();
    assert_eq!(versions, json!([{"id": asked.reply}, {"id": again.reply}]));
    let last = app.gemini.calls().pop().unwrap();
    assert_eq!(last.body["contents"], json!([{"role": "user", "parts": [{"text": "Is it?"}]}]));
    app.stop().await;
}

#[tokio::test]
async fn a_reply_is_regenerated_once_however_often_the_button_is_pressed() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let asked = user.room("x").await.ask("hi").await;
    user.read(&asked.reply).await;
    let again = join_all((0..10).map(|_| user.regenerate(&asked.reply))).await;
    let (done, refused): (Vec<_>, Vec<_>) = again.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 9));
    assert!(refused.into_iter().all(|refused| code_of(&refused.unwrap_err()) == "CONFLICT"));
    assert_eq!(user.used().await, 2);
    app.stop().await;
}

#[tokio::test]
async fn a_unit_goes_back_to_the_day_it_was_taken_from() {
    let app = TestApp::at_a_standstill().await;
    app.pass(TimeDelta::hours(12) - TimeDelta::seconds(10)).await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().text("Well").wait(&gate).event(&json!({"error": {"code": 400}})));
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Well").await;
    // Past midnight, and still within the lease.
    app.pass(TimeDelta::seconds(20)).await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyFailed");
    let days = entity::daily_usage::Entity::find().all(app.chat.db.read()).await.unwrap();
    assert_eq!(
        days.iter().map(|day| (day.day.to_string(), day.used)).collect::<Vec<_>>(),
        [("2026-11-21".to_owned(), 0)]
    );
    app.stop().await;
}

#[tokio::test]
async fn only_an_ended_reply_on_the_path_can_be_regenerated() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let room = user.room("x").await;
    let gate = Gate::closed();
    app.gemini.answers(Script::new().wait(&gate).text("Yes").finish("STOP"));
    let first = room.ask("one").await;
    assert_eq!(code_of(&user.regenerate(&first.reply).await.unwrap_err()), "CONFLICT");
    let refused = user.regenerate(&first.message).await.unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["field"], "messageId");
    gate.open_wide();
    user.read(&first.reply).await;
    let second = room.ask("two").await;
    user.read(&second.reply).await;
    let again = user.regenerate(&first.reply).await.unwrap();
    user.read(&again.reply).await;
    assert_eq!(
        code_of(&user.regenerate(&second.reply).await.unwrap_err()),
        "CONFLICT",
        "its branch was left"
    );
    assert_eq!(user.used().await, 3, "refused ones cost nothing");
    app.stop().await;
}
