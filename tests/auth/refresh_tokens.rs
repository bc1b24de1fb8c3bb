//! Exchanging refresh tokens, repeating an exchange after a lost response, detecting stolen tokens, and the maximum number
//! of sessions.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TestApp, TestUser,
    accounts::{PASSWORD, login, user_with_password, with_token_of},
    code_of,
};

const PHONE: &str = "+14155550199";
const REFRESH: &str = "mutation($token: String!) {
    refreshToken(input: { refreshToken: $token }) { accessToken refreshToken refreshTokenExpiresAt }
}";
const ME: &str = "{ me { phoneNumber } }";

async fn refresh(user: &TestUser, token: &str) -> Value {
    user.execute(REFRESH, json!({ "token": token })).await
}

fn new_token(response: &Value) -> &str {
    response["data"]["refreshToken"]["refreshToken"].as_str().unwrap()
}

fn with_new_access_token(user: &TestUser, response: &Value) -> TestUser {
    with_token_of(user, response, "refreshToken")
}

#[tokio::test]
async fn repeating_a_lost_exchange_returns_the_same_token_until_it_is_used() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    let lost = refresh(&user, &user.refresh_token).await;
    let successor = new_token(&lost).to_owned();
    assert_ne!(successor, user.refresh_token);
    for pause in [TimeDelta::seconds(11), TimeDelta::hours(1), TimeDelta::days(28)] {
        app.advance(pause).await;
        let repeated = refresh(&user, &user.refresh_token).await;
        assert_eq!(new_token(&repeated), successor);
        let expiry = |response: &Value| response["data"]["refreshToken"]["refreshTokenExpiresAt"].clone();
        assert_eq!(expiry(&repeated), expiry(&lost), "repeating does not extend the lifetime");
    }
    let next = refresh(&user, &successor).await;
    assert_eq!(code_of(&next), "no error");
    // The successor has been exchanged, so its predecessor counts as stolen now.
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, new_token(&next)).await), "UNAUTHENTICATED", "the session has ended");
    assert_eq!(with_new_access_token(&user, &next).data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn reusing_a_refresh_token_after_its_successor_was_received_ends_the_session() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    let exchange = refresh(&user, &user.refresh_token).await;
    // The owner uses the new access token, which proves that its response was received. A thief has the previous refresh token.
    let owner = with_new_access_token(&user, &exchange);
    assert_eq!(owner.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    // An exchange whose response was received can be repeated for ten seconds only. After that, a repetition ends the session.
    app.advance(TimeDelta::seconds(11)).await;
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, new_token(&exchange)).await), "UNAUTHENTICATED");
    assert_eq!(owner.data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn using_the_old_access_token_does_not_confirm_an_exchange() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    let lost = refresh(&user, &user.refresh_token).await;
    assert_eq!(user.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.advance(TimeDelta::seconds(11)).await;
    assert_eq!(new_token(&refresh(&user, &user.refresh_token).await), new_token(&lost));
    app.stop().await;
}

#[tokio::test]
async fn a_thief_who_repeats_each_exchange_of_the_owner_is_detected() {
    let app = TestApp::with_stopped_clock().await;
    let owner = app.sign_in_as(PHONE).await;
    // The owner and the thief take turns exchanging their tokens. One of them must be rejected.
    let mut owners_token = owner.refresh_token.clone();
    let mut thiefs_token = owners_token.clone();
    let mut was_detected = false;
    for _ in 0..3 {
        app.advance(TimeDelta::minutes(10)).await;
        let response = refresh(&owner, &owners_token).await;
        if code_of(&response) != "no error" {
            was_detected = true;
            break;
        }
        owners_token = new_token(&response).to_owned();
        // Using the new access token confirms the exchange, so that it can be repeated for ten seconds only.
        with_new_access_token(&owner, &response).data(ME, json!({})).await;
        app.advance(TimeDelta::minutes(5)).await;
        let response = refresh(&owner, &thiefs_token).await;
        if code_of(&response) != "no error" {
            was_detected = true;
            break;
        }
        thiefs_token = new_token(&response).to_owned();
    }
    assert!(was_detected);
    app.stop().await;
}

#[tokio::test]
async fn concurrent_refreshes_return_the_same_token() {
    let app = TestApp::start().await;
    let user = app.sign_in_as(PHONE).await;
    let responses = join_all((0..10).map(|_| refresh(&user, &user.refresh_token))).await;
    assert!(responses.iter().all(|response| new_token(response) == new_token(&responses[0])));
    assert_eq!(code_of(&refresh(&user, new_token(&responses[0])).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn refresh_token_expires_thirty_days_after_the_last_exchange() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    app.advance(TimeDelta::days(29)).await;
    let token = new_token(&refresh(&user, &user.refresh_token).await).to_owned();
    app.advance(TimeDelta::days(29)).await;
    let token = new_token(&refresh(&user, &token).await).to_owned();
    app.advance(TimeDelta::days(30)).await;
    assert_eq!(code_of(&refresh(&user, &token).await), "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn malformed_refresh_tokens_are_rejected_and_end_no_session() {
    let app = TestApp::start().await;
    let user = app.sign_in_as(PHONE).await;
    for malformed in ["", "x", "AAAA", &"A".repeat(64), &user.token] {
        assert_eq!(code_of(&refresh(&user, malformed).await), "UNAUTHENTICATED", "{malformed}");
    }
    assert_eq!(user.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn forged_refresh_token_does_not_end_the_session() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let app = TestApp::start().await;
    let user = app.sign_in_as(PHONE).await;
    let mut bytes = URL_SAFE_NO_PAD.decode(&user.refresh_token).unwrap();
    // The first 16 bytes are the session's id and the next 32 its secret. No token with the changed secret was ever issued.
    bytes[20] ^= 1;
    assert_eq!(code_of(&refresh(&user, &URL_SAFE_NO_PAD.encode(bytes)).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn concurrent_exchanges_and_repetitions_keep_one_chain_of_tokens() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.sign_in_as(PHONE).await;
    let lost = refresh(&user, &user.refresh_token).await;
    app.advance(TimeDelta::minutes(5)).await;
    let responses = join_all((0..20).map(|_| refresh(&user, &user.refresh_token))).await;
    assert!(responses.iter().all(|response| new_token(response) == new_token(&lost)));
    // The successor is exchanged while the exchange of the old token is repeated. At most one chain of tokens remains.
    let successor = new_token(&lost).to_owned();
    let calls = (0..10).map(|number| {
        let token = if number % 2 == 0 { &successor } else { &user.refresh_token };
        refresh(&user, token)
    });
    let responses = join_all(calls).await;
    let exchanged: Vec<_> =
        responses.iter().step_by(2).filter(|response| code_of(response) == "no error").collect();
    assert!(exchanged.iter().all(|response| new_token(response) == new_token(exchanged[0])));
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn signing_in_with_a_hundred_sessions_ends_the_least_recently_refreshed_one() {
    let app = TestApp::with_stopped_clock().await;
    let oldest = user_with_password(&app).await;
    app.advance(TimeDelta::minutes(1)).await;
    let signed_in = login(&app, PHONE, PASSWORD).await;
    let second = with_token_of(&oldest, &signed_in, "login");
    let mut socket = second.socket().await;
    app.advance(TimeDelta::minutes(1)).await;
    for _ in 2..100 {
        let now = app.clock.now();
        let session = entity::session::Model {
            id: entity::SessionId::generate(),
            user_id: oldest.id.parse().unwrap(),
            refresh_hash: vec![0; 32],
            rotated_at: now,
            is_received: true,
            user_agent: None,
            created_at: now,
            last_seen_at: now,
            expires_at: now + TimeDelta::days(30),
        };
        pollux::store::sessions::insert(app.chatrooms.db.write(), session).await.unwrap();
    }
    app.advance(TimeDelta::minutes(1)).await;
    // The oldest session is refreshed, so that the second one was refreshed longest ago.
    let renewed = with_new_access_token(&oldest, &refresh(&oldest, &oldest.refresh_token).await);
    let session_count = async || {
        let data = renewed.data("{ sessions { id } }", json!({})).await;
        data["sessions"].as_array().unwrap().len()
    };
    assert_eq!(session_count().await, 100);
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "no error");
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(second.data(ME, json!({})).await, json!({ "me": null }));
    assert_eq!(session_count().await, 100);
    let concurrent = join_all((0..5).map(|_| login(&app, PHONE, PASSWORD))).await;
    assert!(concurrent.iter().all(|response| code_of(response) == "no error"));
    assert_eq!(session_count().await, 100);
    app.stop().await;
}
