//! Refresh tokens: exchanged, exchanged again when an answer was lost, reused by a thief; and how many sessions there may be.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TestApp, TestUser,
    accounts::{PASSWORD, login, token, with_password},
    code_of,
};

const PHONE: &str = "+14155550199";
const REFRESH: &str = "mutation($token: String!) {
    refreshToken(refreshToken: $token) { accessToken refreshToken refreshTokenExpiresAt }
}";
const ME: &str = "{ me { phoneNumber } }";

async fn refresh(user: &TestUser, token: &str) -> Value {
    user.ask_api(REFRESH, json!({ "token": token })).await
}

fn refreshed(response: &Value) -> &str {
    response["data"]["refreshToken"]["refreshToken"].as_str().unwrap()
}

fn signed_in_by(user: &TestUser, response: &Value) -> TestUser {
    token(user, response, "refreshToken")
}

#[tokio::test]
async fn an_exchange_whose_answer_was_lost_is_repeated_until_its_tokens_are_used() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    let first = refresh(&user, &user.refresh_token).await;
    let successor = refreshed(&first).to_owned();
    assert_ne!(successor, user.refresh_token);
    for pause in [TimeDelta::seconds(11), TimeDelta::hours(1), TimeDelta::days(28)] {
        app.pass(pause).await;
        let again = refresh(&user, &user.refresh_token).await;
        assert_eq!(refreshed(&again), successor);
        let expiry = |answer: &Value| answer["data"]["refreshToken"]["refreshTokenExpiresAt"].clone();
        assert_eq!(expiry(&again), expiry(&first), "what is not new lasts no longer");
    }
    let next = refresh(&user, &successor).await;
    assert_eq!(code_of(&next), "no error");
    // From now on the first one is a stolen one, at once.
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, refreshed(&next)).await), "UNAUTHENTICATED", "the session has ended");
    assert_eq!(signed_in_by(&user, &next).data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    let first = refresh(&user, &user.refresh_token).await;
    // The owner got the answer and goes on; the thief comes with the token from before.
    let owner = signed_in_by(&user, &first);
    assert_eq!(owner.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.pass(TimeDelta::seconds(11)).await;
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, refreshed(&first)).await), "UNAUTHENTICATED");
    assert_eq!(owner.data(ME, json!({})).await, json!({ "me": null }));
    app.stop().await;
}

#[tokio::test]
async fn the_old_access_token_does_not_tell_that_an_exchange_was_received() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    let lost = refresh(&user, &user.refresh_token).await;
    assert_eq!(user.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.pass(TimeDelta::seconds(11)).await;
    assert_eq!(refreshed(&refresh(&user, &user.refresh_token).await), refreshed(&lost));
    app.stop().await;
}

#[tokio::test]
async fn a_thief_cannot_keep_step_with_the_owner() {
    let app = TestApp::at_a_standstill().await;
    let owner = app.signed_in(PHONE).await;
    let mut stolen = owner.refresh_token.clone();
    let mut own = stolen.clone();
    let mut was_noticed = false;
    for _ in 0..3 {
        app.pass(TimeDelta::minutes(10)).await;
        let answer = refresh(&owner, &own).await;
        if code_of(&answer) != "no error" {
            was_noticed = true;
            break;
        }
        own = refreshed(&answer).to_owned();
        signed_in_by(&owner, &answer).data(ME, json!({})).await;
        app.pass(TimeDelta::minutes(5)).await;
        let answer = refresh(&owner, &stolen).await;
        if code_of(&answer) != "no error" {
            was_noticed = true;
            break;
        }
        stolen = refreshed(&answer).to_owned();
    }
    assert!(was_noticed);
    app.stop().await;
}

#[tokio::test]
async fn tabs_that_refresh_together_get_the_same_token() {
    let app = TestApp::start().await;
    let user = app.signed_in(PHONE).await;
    let answers = join_all((0..10).map(|_| refresh(&user, &user.refresh_token))).await;
    assert!(answers.iter().all(|answer| refreshed(answer) == refreshed(&answers[0])));
    assert_eq!(code_of(&refresh(&user, refreshed(&answers[0])).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_token_lasts_thirty_days_from_its_last_use() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    app.pass(TimeDelta::days(29)).await;
    let token = refreshed(&refresh(&user, &user.refresh_token).await).to_owned();
    app.pass(TimeDelta::days(29)).await;
    let token = refreshed(&refresh(&user, &token).await).to_owned();
    app.pass(TimeDelta::days(30)).await;
    assert_eq!(code_of(&refresh(&user, &token).await), "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn junk_for_a_refresh_token_is_refused_and_harms_nobody() {
    let app = TestApp::start().await;
    let user = app.signed_in(PHONE).await;
    for junk in ["", "x", "AAAA", &"A".repeat(64), &user.token] {
        assert_eq!(code_of(&refresh(&user, junk).await), "UNAUTHENTICATED", "{junk}");
    }
    assert_eq!(user.data(ME, json!({})).await["me"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn a_refresh_token_that_was_made_up_ends_nobodys_session() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let app = TestApp::start().await;
    let user = app.signed_in(PHONE).await;
    let mut bytes = URL_SAFE_NO_PAD.decode(&user.refresh_token).unwrap();
    // The session's id, and a secret that was never given out.
    bytes[20] ^= 1;
    assert_eq!(code_of(&refresh(&user, &URL_SAFE_NO_PAD.encode(bytes)).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn exchanges_and_repetitions_at_once_agree() {
    let app = TestApp::at_a_standstill().await;
    let user = app.signed_in(PHONE).await;
    let lost = refresh(&user, &user.refresh_token).await;
    app.pass(TimeDelta::minutes(5)).await;
    let answers = join_all((0..20).map(|_| refresh(&user, &user.refresh_token))).await;
    assert!(answers.iter().all(|answer| refreshed(answer) == refreshed(&lost)));
    // The successor is exchanged while the old one is repeated: either way, one chain of tokens is left or none.
    let successor = refreshed(&lost).to_owned();
    let calls = (0..10).map(|number| {
        let token = if number % 2 == 0 { &successor } else { &user.refresh_token };
        refresh(&user, token)
    });
    let answers = join_all(calls).await;
    let ahead: Vec<_> = answers.iter().step_by(2).filter(|answer| code_of(answer) == "no error").collect();
    assert!(ahead.iter().all(|answer| refreshed(answer) == refreshed(ahead[0])));
    assert_eq!(code_of(&refresh(&user, &user.refresh_token).await), "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn a_hundred_and_first_session_ends_the_one_that_was_refreshed_longest_ago() {
    let app = TestApp::at_a_standstill().await;
    let oldest = with_password(&app).await;
    app.pass(TimeDelta::minutes(1)).await;
    let signed_in = login(&app, PHONE, PASSWORD).await;
    let second = token(&oldest, &signed_in, "login");
    let mut socket = second.socket().await;
    app.pass(TimeDelta::minutes(1)).await;
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
        pollux::store::sessions::insert(app.chat.db.write(), session).await.unwrap();
    }
    app.pass(TimeDelta::minutes(1)).await;
    let renewed = signed_in_by(&oldest, &refresh(&oldest, &oldest.refresh_token).await);
    let ids = async || {
        let data = renewed.data("{ sessions { id } }", json!({})).await;
        data["sessions"].as_array().unwrap().len()
    };
    assert_eq!(ids().await, 100);
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "no error");
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(second.data(ME, json!({})).await, json!({ "me": null }));
    assert_eq!(ids().await, 100);
    let at_once = join_all((0..5).map(|_| login(&app, PHONE, PASSWORD))).await;
    assert!(at_once.iter().all(|answer| code_of(answer) == "no error"));
    assert_eq!(ids().await, 100);
    app.stop().await;
}
