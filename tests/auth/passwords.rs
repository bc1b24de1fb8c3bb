//! Changing passwords, resetting them with a code, and what responses reveal to anonymous callers.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    accounts::{
        CHANGE_PASSWORD, PASSWORD, PHONE, SIGNUP, UNREGISTERED_PHONE, login, user_with_password, verify,
        with_token_of,
    },
    code_of,
    user::SEND_OTP,
};

const FORGOT: &str = "mutation($phone: PhoneNumber!) {
    forgotPassword(input: { phoneNumber: $phone }) { otp phoneNumber expiresAt resendAt }
}";
const RESET: &str = "mutation($phone: PhoneNumber!, $otp: String!, $new: String!) {
    resetPassword(input: { phoneNumber: $phone, otp: $otp, newPassword: $new }) { accessToken user { id hasPassword } }
}";

#[tokio::test]
async fn invalid_signup_and_password_values_name_their_field() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let long = "x".repeat(129);
    for (query, variables, field) in [
        (SIGNUP, json!({"input": {"phoneNumber": PHONE, "password": "short"}}), "password"),
        (SIGNUP, json!({"input": {"phoneNumber": PHONE, "email": "ada"}}), "email"),
        (SIGNUP, json!({"input": {"phoneNumber": PHONE, "fullName": ""}}), "fullName"),
        (RESET, json!({"phone": PHONE, "otp": "000000", "new": long}), "newPassword"),
        (CHANGE_PASSWORD, json!({"new": "1234567"}), "newPassword"),
    ] {
        let rejected = user.execute(query, variables).await;
        let extensions = &rejected["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "BAD_USER_INPUT", "field": field}));
    }
    app.stop().await;
}

#[tokio::test]
async fn wrong_password_no_password_and_unknown_number_get_the_same_response() {
    let app = TestApp::start().await;
    user_with_password(&app).await;
    let without_password = app.user().await;
    let mut responses = Vec::new();
    for (phone, password) in [
        (PHONE, "wrong horse"),
        (PHONE, ""),
        (PHONE, &*"x".repeat(200_000)),
        (without_password.phone_number.as_str(), PASSWORD),
        (UNREGISTERED_PHONE, PASSWORD),
    ] {
        let mut response = login(&app, phone, password).await;
        assert_eq!(code_of(&response), "UNAUTHENTICATED");
        response["errors"][0]["locations"].take();
        responses.push(response);
    }
    assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
    app.stop().await;
}

#[tokio::test]
async fn password_guesses_are_limited_per_number() {
    let app = TestApp::with_stopped_clock().await;
    user_with_password(&app).await;
    for phone in [PHONE, UNREGISTERED_PHONE] {
        for _ in 0..10 {
            assert_eq!(code_of(&login(&app, phone, "wrong horse").await), "UNAUTHENTICATED");
        }
        assert_eq!(code_of(&login(&app, phone, PASSWORD).await), "RATE_LIMITED");
    }
    app.advance(TimeDelta::hours(1)).await;
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn guesses_are_limited_per_address_and_per_session() {
    let app = TestApp::with_stopped_clock().await;
    let user = user_with_password(&app).await;
    for number in 0..30 {
        let phone = format!("+14155551{number:03}");
        assert_eq!(code_of(&login(&app, &phone, "wrong horse").await), "UNAUTHENTICATED");
    }
    assert_eq!(code_of(&login(&app, UNREGISTERED_PHONE, "wrong horse").await), "RATE_LIMITED");
    app.advance(TimeDelta::minutes(1)).await;
    for number in 0..30 {
        let phone = format!("+14155551{number:03}");
        assert_eq!(code_of(&reset(&app, &phone, &json!("000000"), PASSWORD).await), "OTP_INVALID");
    }
    assert_eq!(code_of(&reset(&app, UNREGISTERED_PHONE, &json!("000000"), PASSWORD).await), "RATE_LIMITED");
    let guess = json!({"current": "wrong horse", "new": PASSWORD});
    // Setting the first password counted as one attempt.
    for _ in 0..9 {
        assert_eq!(user.error_code(CHANGE_PASSWORD, guess.clone()).await, "BAD_USER_INPUT");
    }
    assert_eq!(user.error_code(CHANGE_PASSWORD, guess).await, "RATE_LIMITED");
    app.stop().await;
}

#[tokio::test]
async fn changing_the_password_requires_the_current_one_and_ends_other_sessions() {
    let app = TestApp::with_stopped_clock().await;
    let user = user_with_password(&app).await;
    let other_device = with_token_of(&user, &login(&app, PHONE, PASSWORD).await, "login");
    let mut socket = other_device.socket().await;
    for current in [json!(null), json!("wrong horse")] {
        let rejected =
            user.execute(CHANGE_PASSWORD, json!({"current": current, "new": "battery staple"})).await;
        let expected = json!({"code": "BAD_USER_INPUT", "field": "currentPassword"});
        assert_eq!(rejected["errors"][0]["extensions"], expected);
    }
    user.data(CHANGE_PASSWORD, json!({"current": PASSWORD, "new": "battery staple"})).await;
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(other_device.data("{ me { id } }", json!({})).await["me"], Value::Null);
    assert_eq!(user.data("{ me { id } }", json!({})).await["me"]["id"], user.id.as_str());
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&login(&app, PHONE, "battery staple").await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn one_of_several_concurrent_password_changes_succeeds() {
    let app = TestApp::start().await;
    let user = user_with_password(&app).await;
    let changes = (0..5).map(async |number| {
        let variables = json!({"current": PASSWORD, "new": format!("a better horse {number}")});
        code_of(&user.execute(CHANGE_PASSWORD, variables).await).to_owned()
    });
    let codes = join_all(changes).await;
    assert_eq!(codes.iter().filter(|code| *code == "no error").count(), 1, "{codes:?}");
    // The other changes conflict or, if they run after the successful one, have a wrong current password.
    assert!(
        codes.iter().all(|code| ["no error", "CONFLICT", "BAD_USER_INPUT"].contains(&&**code)),
        "{codes:?}"
    );
    let successful = codes.iter().position(|code| code == "no error").unwrap();
    assert_eq!(code_of(&login(&app, PHONE, &format!("a better horse {successful}")).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn common_passwords_are_rejected() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for common in ["password", "12345678", "qwertyuiop", "iloveyou1", "aaaaaaaaaaaa", "Pollux2024"] {
        let rejected = user.execute(CHANGE_PASSWORD, json!({ "new": common })).await;
        let expected = json!({"code": "BAD_USER_INPUT", "field": "newPassword"});
        assert_eq!(rejected["errors"][0]["extensions"], expected, "{common}");
    }
    user.data(CHANGE_PASSWORD, json!({ "new": "  Ünïcode & spaces  " })).await;
    app.stop().await;
}

async fn forgot(app: &TestApp, phone: &str) -> Value {
    app.anonymous().data(FORGOT, json!({ "phone": phone })).await["forgotPassword"].take()
}

async fn reset(app: &TestApp, phone: &str, otp: &Value, new: &str) -> Value {
    app.anonymous().execute(RESET, json!({"phone": phone, "otp": otp, "new": new})).await
}

#[tokio::test]
async fn resetting_the_password_with_a_code_ends_all_sessions() {
    let app = TestApp::with_stopped_clock().await;
    let user = user_with_password(&app).await;
    let mut socket = user.socket().await;
    app.advance(TimeDelta::seconds(31)).await;
    let sent = forgot(&app, PHONE).await;
    assert_eq!(
        code_of(&verify(&app, PHONE, &sent["otp"]).await),
        "OTP_INVALID",
        "a reset code does not sign in"
    );
    let wrong = (sent["otp"].as_str().unwrap().parse::<u32>().unwrap() + 1) % 1_000_000;
    let rejected = reset(&app, PHONE, &json!(format!("{wrong:06}")), "battery staple").await;
    assert_eq!(code_of(&rejected), "OTP_INVALID");
    let response = reset(&app, PHONE, &sent["otp"], "battery staple").await;
    assert_eq!(response["data"]["resetPassword"]["user"], json!({"id": user.id, "hasPassword": true}));
    assert_eq!(socket.next().await, Err((4403, "token expired".to_owned())));
    assert_eq!(code_of(&reset(&app, PHONE, &sent["otp"], "another horse").await), "OTP_INVALID");
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "UNAUTHENTICATED");
    assert_eq!(code_of(&login(&app, PHONE, "battery staple").await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn sign_in_code_cannot_reset_a_password() {
    let app = TestApp::start().await;
    let sent = app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    let rejected = reset(&app, PHONE, &sent["sendOtp"]["otp"], PASSWORD).await;
    assert_eq!(code_of(&rejected), "OTP_INVALID");
    assert_eq!(code_of(&verify(&app, PHONE, &sent["sendOtp"]["otp"]).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn one_of_several_concurrent_password_resets_succeeds() {
    let app = TestApp::start().await;
    let sent = forgot(&app, PHONE).await;
    let resets = (0..5).map(|number| {
        let (app, otp) = (&app, &sent["otp"]);
        async move { reset(app, PHONE, otp, &format!("a better horse {number}")).await }
    });
    let responses = join_all(resets).await;
    let codes: Vec<_> = responses.iter().map(code_of).collect();
    assert_eq!(codes.iter().filter(|code| **code == "no error").count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == "OTP_INVALID").count(), 4, "{codes:?}");
    let successful = codes.iter().position(|code| *code == "no error").unwrap();
    assert_eq!(code_of(&login(&app, PHONE, &format!("a better horse {successful}")).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn forgot_password_responds_the_same_for_every_number() {
    let app = TestApp::with_stopped_clock().await;
    user_with_password(&app).await;
    app.advance(TimeDelta::seconds(31)).await;
    let mut responses = Vec::new();
    for phone in [PHONE, UNREGISTERED_PHONE] {
        let mut sent = forgot(&app, phone).await;
        for field in ["otp", "phoneNumber"] {
            assert!(sent[field].take().is_string());
        }
        responses.push(sent);
        let repeated = app.anonymous().execute(FORGOT, json!({ "phone": phone })).await;
        assert_eq!(
            (code_of(&repeated), &repeated["errors"][0]["extensions"]["retryAfter"]),
            ("RATE_LIMITED", &json!(30))
        );
    }
    assert_eq!(responses[0], responses[1]);
    app.stop().await;
}
