//! Verifying codes: accepted forms of a code, and signups, which only their own token confirms.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    accounts::{PASSWORD, PHONE, UNREGISTERED_PHONE, login, verify, with_token_of},
    code_of,
    user::{SEND_OTP, VERIFY_OTP},
};

const SIGNUP: &str =
    "mutation($input: SignupInput!) { signup(input: $input) { signupToken otp { otp } user { id } } }";
const VERIFY: &str = "mutation($input: VerifyOtpInput!) {
    verifyOtp(input: $input) { accessToken user { id email fullName hasPassword } }
}";
const FORGOT: &str =
    "mutation($phone: PhoneNumber!) { forgotPassword(input: { phoneNumber: $phone }) { otp } }";
const RESET: &str = "mutation($phone: PhoneNumber!, $otp: String!) {
    resetPassword(input: { phoneNumber: $phone, otp: $otp, newPassword: \"correct horse\" }) { accessToken }
}";

async fn send(app: &TestApp) -> String {
    let sent = app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    sent["sendOtp"]["otp"].as_str().unwrap().to_owned()
}

/// The attempts that were counted for the only code in the database.
async fn attempts(app: &TestApp) -> i32 {
    entity::otp::Entity::find().one(app.chatrooms.db.read()).await.unwrap().unwrap().tries
}

#[tokio::test]
async fn code_is_accepted_in_other_scripts_and_with_separators() {
    let app = TestApp::with_stopped_clock().await;
    let in_script = |otp: &str, zero: char| -> String {
        let digit = |c: char| char::from_u32(u32::from(zero) + c.to_digit(10).unwrap()).unwrap();
        otp.chars().map(digit).collect()
    };
    let spellings: [&dyn Fn(&str) -> String; 7] = [
        &|otp| in_script(otp, '٠'),
        &|otp| in_script(otp, '०'),
        &|otp| in_script(otp, '０'),
        &|otp| format!(" {} {}\n", &otp[..3], &otp[3..]),
        &|otp| format!("{}-{}", &otp[..3], &otp[3..]),
        &|otp| format!("\u{202a}{otp}\u{202c}"),
        &|otp| format!("\u{feff}{}\u{200b}\u{2066}{}\u{2069}", &otp[..1], &otp[1..]),
    ];
    for spell in spellings {
        let otp = spell(&send(&app).await);
        assert_eq!(code_of(&verify(&app, PHONE, &json!(otp)).await), "no error", "{}", otp.escape_unicode());
        // A number may request five codes an hour.
        app.advance(TimeDelta::minutes(13)).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn malformed_code_costs_no_attempt() {
    let app = TestApp::with_stopped_clock().await;
    let otp = send(&app).await;
    for text in ["", "12345", "1234567", "12345a", "my code", "１２３４５", "\0", &"1".repeat(10_000)] {
        let rejected = app.anonymous().execute(VERIFY_OTP, json!({"phone": PHONE, "otp": text})).await;
        let extensions = &rejected["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "BAD_USER_INPUT", "field": "otp"}), "{text}");
        let rejected = app.anonymous().execute(RESET, json!({"phone": PHONE, "otp": text})).await;
        assert_eq!(rejected["errors"][0]["extensions"]["field"], "otp", "{text}");
    }
    assert_eq!(attempts(&app).await, 0);
    // The server also keeps a decoy count for every number, with or without a code. It has not changed either.
    let wrong = format!("{:06}", (otp.parse::<u32>().unwrap() + 1) % 1_000_000);
    for phone in [PHONE, UNREGISTERED_PHONE] {
        let rejected = verify(&app, phone, &json!(wrong)).await;
        assert_eq!(rejected["errors"][0]["extensions"]["attemptsLeft"], 4, "{phone}");
    }
    assert_eq!(code_of(&verify(&app, PHONE, &json!(otp)).await), "no error");
    app.stop().await;
}

async fn signup(app: &TestApp, name: &str, password: &str) -> Value {
    let input = json!({"phoneNumber": PHONE, "fullName": name, "email": format!("{name}@example.com"),
        "password": password});
    app.anonymous().data(SIGNUP, json!({ "input": input })).await["signup"].take()
}

async fn verify_with(app: &TestApp, otp: &Value, token: &Value) -> Value {
    let input = json!({"phoneNumber": PHONE, "otp": otp, "signupToken": token});
    app.anonymous().execute(VERIFY, json!({ "input": input })).await
}

#[tokio::test]
async fn victims_code_does_not_confirm_an_attackers_signup() {
    // The attacker signs up after the victim has requested a code, before the victim requests one, or after the victim has
    // signed up.
    for order in ["code first", "attack first", "both sign up"] {
        let app = TestApp::with_stopped_clock().await;
        let mut otp = Value::Null;
        let mut victims_token = Value::Null;
        match order {
            "code first" => drop(send(&app).await),
            "both sign up" => victims_token = signup(&app, "victim", PASSWORD).await["signupToken"].take(),
            _ => {}
        }
        app.advance(TimeDelta::seconds(31)).await;
        let attack = signup(&app, "mallory", "mallory's own").await;
        otp.clone_from(&attack["otp"]["otp"]);
        if order == "attack first" {
            app.advance(TimeDelta::seconds(31)).await;
            otp = json!(send(&app).await);
        }
        let verified = verify_with(&app, &otp, &victims_token).await;
        let user = &verified["data"]["verifyOtp"]["user"];
        let expected = match order {
            "both sign up" => json!(["victim", "victim@example.com", true]),
            _ => json!([null, null, false]),
        };
        assert_eq!(json!([user["fullName"], user["email"], user["hasPassword"]]), expected, "{order}");
        assert_eq!(code_of(&login(&app, PHONE, "mallory's own").await), "UNAUTHENTICATED", "{order}");
        // A later code does not confirm the attacker's signup either.
        app.advance(TimeDelta::seconds(31)).await;
        let later = verify_with(&app, &json!(send(&app).await), &attack["signupToken"]).await;
        assert_eq!(later["data"]["verifyOtp"]["user"], *user, "{order}");
        app.stop().await;
    }
}

#[tokio::test]
async fn signup_is_confirmed_by_a_newer_code_once() {
    let app = TestApp::with_stopped_clock().await;
    let signed_up = signup(&app, "ada", PASSWORD).await;
    app.advance(TimeDelta::minutes(29)).await;
    let verified = verify_with(&app, &json!(send(&app).await), &signed_up["signupToken"]).await;
    assert_eq!(verified["data"]["verifyOtp"]["user"]["fullName"], "ada");
    assert_eq!(verified["data"]["verifyOtp"]["user"]["id"], signed_up["user"]["id"]);
    // A token works once: the number's next account does not get the profile of the deleted one.
    let user = with_token_of(&app.anonymous(), &verified, "verifyOtp");
    user.data("mutation { deleteAccount { deletedId } }", json!({})).await;
    app.advance(TimeDelta::seconds(31)).await;
    let verified = verify_with(&app, &json!(send(&app).await), &signed_up["signupToken"]).await;
    assert_eq!(verified["data"]["verifyOtp"]["user"]["fullName"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn signup_expires_after_thirty_minutes() {
    let app = TestApp::with_stopped_clock().await;
    let signed_up = signup(&app, "ada", PASSWORD).await;
    app.advance(TimeDelta::minutes(30)).await;
    let verified = verify_with(&app, &json!(send(&app).await), &signed_up["signupToken"]).await;
    assert_eq!(verified["data"]["verifyOtp"]["user"]["fullName"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn token_of_another_signup_is_rejected_and_costs_no_attempt() {
    let app = TestApp::with_stopped_clock().await;
    let input = json!({"phoneNumber": UNREGISTERED_PHONE, "fullName": "Mallory"});
    let others_token =
        app.anonymous().data(SIGNUP, json!({ "input": input })).await["signup"]["signupToken"].take();
    let own = signup(&app, "ada", PASSWORD).await;
    let mut forged = own["signupToken"].as_str().unwrap().to_owned();
    forged.replace_range(30..31, if &forged[30..31] == "A" { "B" } else { "A" });
    for token in [others_token, json!(forged), json!(""), json!("x"), json!("\0")] {
        let rejected = verify_with(&app, &own["otp"]["otp"], &token).await;
        let extensions = &rejected["errors"][0]["extensions"];
        assert_eq!(*extensions, json!({"code": "BAD_USER_INPUT", "field": "signupToken"}), "{token}");
    }
    let verified = verify_with(&app, &own["otp"]["otp"], &own["signupToken"]).await;
    assert_eq!(verified["data"]["verifyOtp"]["user"]["fullName"], "ada");
    app.stop().await;
}

#[tokio::test]
async fn concurrent_signups_never_exchange_profiles() {
    let app = TestApp::with_settings(&["--rate-limits=off"]).await;
    let signups = join_all(["ada", "grace"].map(|name| signup(&app, name, PASSWORD))).await;
    let verified = join_all(
        signups.iter().map(|signup| verify_with(&app, &signup["otp"]["otp"], &signup["signupToken"])),
    )
    .await;
    let names: Vec<_> =
        verified.iter().map(|response| response["data"]["verifyOtp"]["user"]["fullName"].clone()).collect();
    // The newer code replaces the older one, so one of the two signups is confirmed.
    assert!(names == [json!("ada"), Value::Null] || names == [Value::Null, json!("grace")], "{names:?}");
    app.stop().await;
}

#[tokio::test]
async fn rejected_weak_password_neither_sends_nor_uses_up_a_code() {
    let app = TestApp::with_stopped_clock().await;
    let input = json!({"phoneNumber": PHONE, "password": "password1"});
    let rejected = app.anonymous().execute(SIGNUP, json!({ "input": input })).await;
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "password");
    // Another code within 30 seconds would be rejected, so the signup has sent none.
    let otp = app.anonymous().data(FORGOT, json!({ "phone": PHONE })).await["forgotPassword"]["otp"].take();
    let weak = RESET.replace("correct horse", "qwertyuiop");
    let rejected = app.anonymous().execute(&weak, json!({"phone": PHONE, "otp": otp})).await;
    assert_eq!(rejected["errors"][0]["extensions"]["field"], "newPassword");
    assert_eq!(app.anonymous().error_code(RESET, json!({"phone": PHONE, "otp": otp})).await, "no error");
    app.stop().await;
}

#[tokio::test]
async fn signup_attempts_are_limited_before_the_password_is_rated() {
    let app = TestApp::with_stopped_clock().await;
    let input = json!({"phoneNumber": PHONE, "password": "password".repeat(16)});
    let anonymous = app.anonymous();
    for number in 0..61 {
        // Avoids the limit on mutations per address and minute; the limit under test is per hour.
        app.advance(TimeDelta::seconds(2)).await;
        let expected = if number < 60 { "BAD_USER_INPUT" } else { "RATE_LIMITED" };
        assert_eq!(anonymous.error_code(SIGNUP, json!({ "input": input })).await, expected, "{number}");
    }
    app.stop().await;
}
