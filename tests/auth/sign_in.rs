//! Signing in and out with one-time passwords.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};

use crate::support::{
    TestApp, TestUser, code_of,
    user::{SEND_OTP, VERIFY_OTP},
};

const PHONE: &str = "+14155550199";
const ME: &str = "{ me { phoneNumber } }";

async fn send_otp(anonymous: &TestUser) -> String {
    let sent = anonymous.data(SEND_OTP, json!({ "phone": PHONE })).await;
    sent["sendOtp"]["otp"].as_str().unwrap().to_owned()
}

async fn verify(anonymous: &TestUser, otp: &str) -> Value {
    anonymous.execute(VERIFY_OTP, json!({"phone": PHONE, "otp": otp})).await
}

fn wrong_code(otp: &str) -> String {
    format!("{:06}", (otp.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn code_signs_in_once() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let otp = send_otp(&anonymous).await;
    assert_eq!(otp.len(), 6);
    let signed_in = verify(&anonymous, &otp).await;
    assert_eq!(signed_in["data"]["verifyOtp"]["user"]["phoneNumber"], PHONE);
    let repeated = verify(&anonymous, &otp).await;
    assert_eq!(code_of(&repeated), "OTP_INVALID");
    app.stop().await;
}

#[tokio::test]
async fn signing_in_with_the_same_number_gives_the_same_user() {
    let app = TestApp::with_stopped_clock().await;
    let first = app.sign_in_as(PHONE).await;
    app.advance(TimeDelta::seconds(31)).await;
    let second = app.sign_in_as("+1 (415) 555-0199").await;
    assert_eq!(first.id, second.id);
    assert_ne!(first.token, second.token);
    app.stop().await;
}

#[tokio::test]
async fn code_expires_after_five_minutes() {
    let app = TestApp::with_stopped_clock().await;
    let anonymous = app.anonymous();
    let otp = send_otp(&anonymous).await;
    app.advance(TimeDelta::seconds(300)).await;
    assert_eq!(code_of(&verify(&anonymous, &otp).await), "OTP_INVALID");
    let otp = send_otp(&anonymous).await;
    app.advance(TimeDelta::seconds(299)).await;
    assert_eq!(code_of(&verify(&anonymous, &otp).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn newer_code_replaces_the_older_one() {
    let app = TestApp::with_stopped_clock().await;
    let anonymous = app.anonymous();
    let old = send_otp(&anonymous).await;
    app.advance(TimeDelta::seconds(30)).await;
    let new = send_otp(&anonymous).await;
    if old != new {
        assert_eq!(code_of(&verify(&anonymous, &old).await), "OTP_INVALID");
    }
    assert_eq!(code_of(&verify(&anonymous, &new).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn wrong_codes_count_down_the_same_for_a_number_without_a_code() {
    let app = TestApp::with_stopped_clock().await;
    let anonymous = app.anonymous();
    let otp = send_otp(&anonymous).await;
    for phone in [PHONE, "+14155550100"] {
        let mut attempts_left = Vec::new();
        for _ in 0..7 {
            let variables = json!({"phone": phone, "otp": wrong_code(&otp)});
            let rejected = anonymous.execute(VERIFY_OTP, variables).await;
            assert_eq!(code_of(&rejected), "OTP_INVALID");
            attempts_left.push(rejected["errors"][0]["extensions"]["attemptsLeft"].as_i64().unwrap());
        }
        assert_eq!(attempts_left, [4, 3, 2, 1, 0, 0, 0], "{phone}");
    }
    app.stop().await;
}

#[tokio::test]
async fn fifty_concurrent_guesses_count_as_five_attempts_and_lock_the_code() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let otp = send_otp(&anonymous).await;
    let wrong = wrong_code(&otp);
    let rejected = join_all((0..50).map(|_| verify(&anonymous, &wrong))).await;
    assert!(rejected.iter().all(|response| code_of(response) == "OTP_INVALID"));
    // Each guess executes the statement that counts attempts, but that statement changes nothing after the fifth attempt.
    let updates = app.statements.lock().unwrap().iter().filter(|sql| sql.contains("SET tries")).count();
    assert_eq!(updates, 50, "every guess is counted before it is compared");
    let row = stored_otp(&app).await;
    assert_eq!(row.tries, 5);
    assert_eq!(code_of(&verify(&anonymous, &otp).await), "OTP_INVALID");
    app.stop().await;
}

/// The only row of `otps`.
async fn stored_otp(app: &TestApp) -> entity::otp::Model {
    entity::otp::Entity::find().one(app.chatrooms.db.read()).await.unwrap().unwrap()
}

/// Requests a one-time password. Returns the error code, or `no error`, and after how many seconds the call may be repeated.
async fn try_to_send(anonymous: &TestUser, phone: &str) -> (String, Option<u64>) {
    let response = anonymous.execute(SEND_OTP, json!({ "phone": phone })).await;
    let retry_after = response["errors"][0]["extensions"]["retryAfter"].as_u64();
    (code_of(&response).to_owned(), retry_after)
}

#[tokio::test]
async fn sending_codes_is_limited_per_phone_and_per_address() {
    let app = TestApp::with_stopped_clock().await;
    let anonymous = app.anonymous();
    // One every 30 s per phone.
    assert_eq!(try_to_send(&anonymous, PHONE).await, ("no error".to_owned(), None));
    app.advance(TimeDelta::milliseconds(9_500)).await;
    assert_eq!(try_to_send(&anonymous, PHONE).await, ("RATE_LIMITED".to_owned(), Some(21)));
    // Five an hour per phone: at 0, 39.5, 69.5, 99.5 and 129.5 s.
    for _ in 0..4 {
        app.advance(TimeDelta::seconds(30)).await;
        assert_eq!(try_to_send(&anonymous, PHONE).await.0, "no error");
    }
    app.advance(TimeDelta::seconds(30)).await;
    let (code, retry_after) = try_to_send(&anonymous, PHONE).await;
    assert_eq!(code, "RATE_LIMITED");
    assert!((3400..3600).contains(&retry_after.unwrap()), "{retry_after:?}");
    // Twenty an hour per address: five of them are used up, because rejected calls do not count.
    for number in 0..15 {
        assert_eq!(try_to_send(&anonymous, &format!("+141555501{number:02}")).await.0, "no error");
    }
    assert_eq!(try_to_send(&anonymous, "+14155550150").await.0, "RATE_LIMITED");
    app.stop().await;
}

#[tokio::test]
async fn rate_limits_off_allows_any_number_of_codes() {
    let app = TestApp::with_settings(&["--rate-limits=off"]).await;
    let anonymous = app.anonymous();
    for _ in 0..30 {
        send_otp(&anonymous).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn invalid_phone_number_names_its_field() {
    let app = TestApp::start().await;
    let response = app.anonymous().execute(SEND_OTP, json!({"phone": "0123"})).await;
    assert_eq!(code_of(&response), "BAD_USER_INPUT");
    assert_eq!(response["errors"][0]["extensions"]["field"], "phoneNumber");
    app.stop().await;
}

#[tokio::test]
async fn anonymous_callers_get_a_null_me_and_unauthenticated_elsewhere() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    assert_eq!(anonymous.data(ME, json!({})).await, json!({ "me": null }));
    for query in
        ["{ sessions { id } }", "{ chatrooms { nodes { id } } }", "mutation { logout { sessionsEnded } }"]
    {
        assert_eq!(anonymous.error_code(query, json!({})).await, "UNAUTHENTICATED", "{query}");
    }
    let forged = TestUser { token: "x.y.z".to_owned(), ..anonymous.clone() };
    assert_eq!(forged.data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn access_token_expires_after_fifteen_minutes() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    app.advance(TimeDelta::seconds(899)).await;
    assert_eq!(user.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.advance(TimeDelta::seconds(1)).await;
    assert_eq!(user.error_code("{ sessions { id } }", json!({})).await, "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn token_of_another_installation_is_not_accepted() {
    let (app, other_app) = (TestApp::start().await, TestApp::start().await);
    let mut user = app.sign_in_as(PHONE).await;
    user.address = other_app.address;
    assert_eq!(user.data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
    other_app.stop().await;
}

#[tokio::test]
async fn logout_ends_the_current_session_or_all_sessions() {
    let app = TestApp::with_stopped_clock().await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(app.sign_in_as(PHONE).await);
        app.advance(TimeDelta::seconds(30)).await;
    }
    let sessions = devices[0].data("{ sessions { current } }", json!({})).await;
    let current =
        sessions["sessions"].as_array().unwrap().iter().filter(|session| session["current"] == true);
    assert_eq!(current.count(), 1);
    let ended = devices[0].data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(ended["logout"]["sessionsEnded"], 1);
    assert_eq!(devices[0].data(ME, json!({})).await, json!({ "me": null }));
    let ended = devices[1]
        .data("mutation { logout(input: { everywhere: true }) { sessionsEnded } }", json!({}))
        .await;
    assert_eq!(ended["logout"]["sessionsEnded"], 2);
    assert_eq!(devices[2].data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn a_repeated_token_is_authenticated_without_the_database_for_less_than_five_seconds() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    user.data("{ __typename }", json!({})).await;
    let session_reads = || {
        let statements = app.statements.lock().unwrap();
        statements.iter().filter(|sql| sql.starts_with("SELECT") && sql.contains("FROM \"sessions\"")).count()
    };
    let before = session_reads();
    app.clock.advance(TimeDelta::milliseconds(4_999));
    user.data("{ __typename }", json!({})).await;
    assert_eq!(session_reads(), before);
    app.clock.advance(TimeDelta::milliseconds(1));
    user.data("{ __typename }", json!({})).await;
    assert_eq!(session_reads(), before + 1);
    app.stop().await;
}

#[tokio::test]
async fn a_session_that_ended_without_a_signal_is_rejected_after_five_seconds() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    assert_ne!(user.data(ME, json!({})).await, json!({ "me": null }));
    app.chatrooms.db.write().execute_unprepared("DELETE FROM sessions").await.unwrap();
    app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(user.data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn logout_closes_the_sessions_socket() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let mut socket = user.socket().await;
    user.data("mutation { logout { sessionsEnded } }", json!({})).await;
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    app.stop().await;
}

#[tokio::test]
async fn internal_error_hides_its_cause_and_returns_the_request_id() {
    let app = TestApp::start().await;
    let user = app.user().await;
    app.chatrooms.db.write().execute_unprepared("ALTER TABLE chatrooms RENAME TO gone").await.unwrap();
    let response = user.execute("{ chatrooms { nodes { id } } }", json!({})).await;
    assert_eq!(code_of(&response), "INTERNAL_SERVER_ERROR");
    assert_eq!(response["errors"][0]["message"], "Internal error.");
    assert_eq!(response["errors"][0]["extensions"]["requestId"].as_str().unwrap().len(), 36);
    app.stop().await;
}
