//! Sending messages and regenerating replies: quota, idempotency keys and the active branch.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::{Gate, Script, TestApp, code_of};

#[tokio::test]
async fn fifty_concurrent_sends_with_a_limit_of_twenty_accept_exactly_twenty() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let responses =
        join_all((0..50).map(|n| chatroom.try_send(json!({"content": format!("message {n}")})))).await;
    let (accepted, rejected): (Vec<_>, Vec<_>) = responses.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), rejected.len()), (20, 30));
    let mut used: Vec<i64> = accepted.into_iter().map(|sent| sent.unwrap().used).collect();
    used.sort_unstable();
    assert_eq!(used, (1..=20).collect::<Vec<_>>());
    for rejection in rejected {
        let rejection = rejection.unwrap_err();
        assert_eq!(code_of(&rejection), "QUOTA_EXCEEDED");
        let extensions = &rejection["errors"][0]["extensions"];
        assert_eq!((&extensions["limit"], &extensions["used"]), (&json!(20), &json!(20)));
        assert_eq!(extensions["upgradeable"], false, "billing is not configured");
        let resets_at: chrono::DateTime<chrono::Utc> =
            extensions["resetsAt"].as_str().unwrap().parse().unwrap();
        assert!(resets_at > app.clock.now() && resets_at <= app.clock.now() + TimeDelta::days(1));
        assert_eq!(resets_at.time(), chrono::NaiveTime::MIN);
    }
    assert_eq!(user.used().await, 20);
    assert_eq!(chatroom.branch().await.len(), 40, "rejected messages leave no rows");
    app.stop().await;
}

#[tokio::test]
async fn the_quota_resets_at_midnight() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    chatroom.send("one").await;
    assert_eq!(user.used().await, 1);
    // To midnight, because the clock starts at noon. The access token expires meanwhile.
    app.advance(TimeDelta::hours(12)).await;
    let refresh =
        "mutation($token: String!) { refreshToken(input: { refreshToken: $token }) { accessToken } }";
    let mut user = user.clone();
    let refreshed = user.data(refresh, json!({ "token": user.refresh_token })).await;
    user.token = refreshed["refreshToken"]["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(user.used().await, 0);
    app.stop().await;
}

#[tokio::test]
async fn twenty_concurrent_sends_with_one_idempotency_key_create_one_message() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let input = json!({"content": "hi", "idempotencyKey": "k1"});
    let responses = join_all((0..20).map(|_| chatroom.try_send(input.clone()))).await;
    let first = responses[0].clone().unwrap();
    assert_eq!(first.used, 1);
    assert!(responses.iter().all(|response| response.as_ref() == Ok(&first)), "{responses:?}");
    assert_eq!(user.read(&first.reply).await.text, "Yes.");
    assert_eq!(app.gemini.calls().len(), 1);
    assert_eq!(chatroom.branch().await.len(), 2);
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn reusing_an_idempotency_key_for_other_input_is_a_conflict_for_the_same_user_only() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    chatroom.try_send(json!({"content": "hi", "idempotencyKey": "k1"})).await.unwrap();
    let conflict = chatroom.try_send(json!({"content": "ho", "idempotencyKey": "k1"})).await.unwrap_err();
    assert_eq!(code_of(&conflict), "CONFLICT");
    let in_other_chatroom =
        user.create_chatroom("y").await.try_send(json!({"content": "hi", "idempotencyKey": "k1"})).await;
    assert_eq!(code_of(&in_other_chatroom.unwrap_err()), "CONFLICT");
    let other_users_chatroom = app.user().await.create_chatroom("z").await;
    let input = json!({"content": "hi", "idempotencyKey": "k1"});
    assert_eq!(other_users_chatroom.try_send(input).await.unwrap().used, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_rejected_message_does_not_consume_its_idempotency_key() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    app.gemini.enqueue(Script::gemini_error(400, "INVALID_ARGUMENT", json!([])));
    let first = chatroom.send("one").await;
    let input = json!({"content": "two", "idempotencyKey": "k"});
    // If the first reply has already failed, its refund makes this message acceptable.
    if let Err(rejected) = chatroom.try_send(input.clone()).await {
        assert_eq!(code_of(&rejected), "QUOTA_EXCEEDED");
    }
    user.read(&first.reply).await;
    assert_eq!(chatroom.try_send(input).await.unwrap().used, 1, "the quota of the failed reply was refunded");
    app.stop().await;
}

#[tokio::test]
async fn message_content_must_be_1_to_32000_characters() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    for content in [String::new(), "  \n".to_owned(), "x".repeat(32_001)] {
        let rejected = chatroom.try_send(json!({ "content": content })).await.unwrap_err();
        assert_eq!(code_of(&rejected), "BAD_USER_INPUT");
        assert_eq!(rejected["errors"][0]["extensions"]["field"], "content");
    }
    let rejected = chatroom.try_send(json!({"content": "x", "idempotencyKey": ""})).await.unwrap_err();
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "idempotencyKey");
    let sent = chatroom.send(&"é".repeat(32_000)).await;
    user.read(&sent.reply).await;
    assert_eq!(user.used().await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_regenerated_reply_replaces_the_old_one_on_the_active_branch() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("Is it?").await;
    user.read(&sent.reply).await;
    let later = chatroom.send("And then?").await;
    user.read(&later.reply).await;
    app.gemini.enqueue(Script::reply(["No", "!"]));
    let regenerated = user.regenerate(&sent.reply).await.unwrap();
    assert_eq!((&regenerated.message, regenerated.used), (&sent.message, 3));
    assert_eq!(user.read(&regenerated.reply).await.text, "No!");
    let branch: Vec<String> = chatroom.branch().await.into_iter().map(|(_, content)| content).collect();
    assert_eq!(branch, ["Is it?", "No!"], "the active branch continues from the new reply");
    let versions = user.message(&sent.reply).await["alternatives"].clone();
    assert_eq!(versions, json!([{"id": sent.reply}, {"id": regenerated.reply}]));
    let last = app.gemini.calls().pop().unwrap();
    assert_eq!(last.body["contents"], json!([{"role": "user", "parts": [{"text": "Is it?"}]}]));
    app.stop().await;
}

#[tokio::test]
async fn concurrent_regenerations_create_one_reply() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.read(&sent.reply).await;
    let regenerated = join_all((0..10).map(|_| user.regenerate(&sent.reply))).await;
    let (accepted, rejected): (Vec<_>, Vec<_>) = regenerated.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), rejected.len()), (1, 9));
    assert!(rejected.into_iter().all(|rejected| code_of(&rejected.unwrap_err()) == "CONFLICT"));
    assert_eq!(user.used().await, 2);
    app.stop().await;
}

#[tokio::test]
async fn a_quota_refund_goes_to_the_day_of_its_reservation() {
    let app = TestApp::with_stopped_clock().await;
    // Ten seconds before midnight; the clock starts at noon.
    app.advance(TimeDelta::hours(12) - TimeDelta::seconds(10)).await;
    let user = app.user().await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Well").wait(&gate).event(&json!({"error": {"code": 400}})));
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Well").await;
    // After midnight, but before the lease of the job expires.
    app.advance(TimeDelta::seconds(20)).await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyFailed");
    let days = entity::daily_usage::Entity::find().all(app.chatrooms.db.read()).await.unwrap();
    assert_eq!(
        days.iter().map(|day| (day.day.to_string(), day.used)).collect::<Vec<_>>(),
        [("2026-11-21".to_owned(), 0)]
    );
    app.stop().await;
}

#[tokio::test]
async fn only_a_finished_reply_on_the_active_branch_can_be_regenerated() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().wait(&gate).text("Yes").finish("STOP"));
    let first = chatroom.send("one").await;
    assert_eq!(code_of(&user.regenerate(&first.reply).await.unwrap_err()), "CONFLICT");
    let rejected = user.regenerate(&first.message).await.unwrap_err();
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "messageId");
    gate.open();
    user.read(&first.reply).await;
    let second = chatroom.send("two").await;
    user.read(&second.reply).await;
    let regenerated = user.regenerate(&first.reply).await.unwrap();
    user.read(&regenerated.reply).await;
    assert_eq!(
        code_of(&user.regenerate(&second.reply).await.unwrap_err()),
        "CONFLICT",
        "its branch is no longer active"
    );
    assert_eq!(user.used().await, 3, "rejected regenerations are not charged");
    app.stop().await;
}
