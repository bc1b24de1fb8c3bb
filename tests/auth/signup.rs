//! Sign-up, and changes of the profile.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    TestApp,
    accounts::{
        ME, PASSWORD, PHONE, SIGNUP, UNREGISTERED_PHONE, login, user_with_password, verify_signup,
        with_token_of,
    },
    code_of,
    user::SEND_OTP,
};

#[tokio::test]
async fn signup_takes_effect_when_its_code_is_verified() {
    let app = TestApp::with_stopped_clock().await;
    let input =
        json!({"phoneNumber": PHONE, "email": "ada@example.com", "fullName": "Ada", "password": PASSWORD});
    let signup = app.anonymous().data(SIGNUP, json!({ "input": input })).await;
    let user = &signup["signup"]["user"];
    let pending = json!({"id": user["id"], "phoneNumber": PHONE, "email": "ada@example.com", "fullName": "Ada",
        "hasPassword": true, "verifiedAt": null, "subscription": {"tier": "BASIC"},
        "usage": {"used": 0, "limit": 20}});
    assert_eq!(*user, pending);
    assert_eq!(
        code_of(&login(&app, PHONE, PASSWORD).await),
        "UNAUTHENTICATED",
        "the number is not verified yet"
    );
    let verified = verify_signup(&app, PHONE, &signup["signup"]).await;
    let me = with_token_of(&app.anonymous(), &verified, "verifyOtp").data(ME, json!({})).await;
    let expected = json!({"id": user["id"], "email": "ada@example.com", "fullName": "Ada", "hasPassword": true,
        "verifiedAt": me["me"]["verifiedAt"]});
    assert_eq!(me["me"], expected);
    assert!(me["me"]["verifiedAt"].is_string());
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn signup_of_a_registered_number_changes_and_reveals_nothing() {
    let app = TestApp::with_stopped_clock().await;
    let owner = user_with_password(&app).await;
    let before = owner.data(ME, json!({})).await;
    app.advance(TimeDelta::seconds(31)).await;
    // Returns what `verify_signup` needs, and the rest of the response, without its code and token.
    let sign_up = async |phone: &str| {
        let input = json!({"phoneNumber": phone, "fullName": "Mallory", "password": "mallory's own"});
        let mut signup = app.anonymous().data(SIGNUP, json!({ "input": input })).await["signup"].take();
        let otp = signup["otp"]["otp"].take();
        let token = signup["signupToken"].take();
        assert_eq!(token.as_str().unwrap().len(), 64);
        (json!({"otp": {"otp": otp}, "signupToken": token}), signup)
    };
    let (code_and_token, mut known) = sign_up(PHONE).await;
    let (_, mut unknown) = sign_up(UNREGISTERED_PHONE).await;
    assert_ne!(known["user"]["id"], owner.id.as_str(), "the id is not revealed");
    for signup in [&mut known, &mut unknown] {
        for field in ["id", "phoneNumber"] {
            signup["user"][field].take();
        }
        signup["otp"]["phoneNumber"].take();
    }
    assert_eq!(known, unknown);
    // The owner receives the code and uses it.
    let verified = verify_signup(&app, PHONE, &code_and_token).await;
    assert_eq!(verified["data"]["verifyOtp"]["user"]["id"], owner.id.as_str());
    assert_eq!(owner.data(ME, json!({})).await, before);
    assert_eq!(code_of(&login(&app, PHONE, "mallory's own").await), "UNAUTHENTICATED");
    assert_eq!(code_of(&login(&app, PHONE, PASSWORD).await), "no error");
    app.stop().await;
}

#[tokio::test]
async fn signing_in_discards_another_persons_signup() {
    let app = TestApp::with_stopped_clock().await;
    let input = json!({"phoneNumber": PHONE, "password": "mallory's own"});
    app.anonymous().data(SIGNUP, json!({ "input": input })).await;
    app.advance(TimeDelta::seconds(31)).await;
    let owner = app.sign_in_as(PHONE).await;
    assert_eq!(owner.data(ME, json!({})).await["me"]["hasPassword"], false);
    assert_eq!(code_of(&login(&app, PHONE, "mallory's own").await), "UNAUTHENTICATED");
    app.stop().await;
}

#[tokio::test]
async fn proxied_request_gets_no_code_in_the_response() {
    let app = TestApp::start().await;
    let request = app.anonymous().http.post(app.url()).header("x-forwarded-for", "203.0.113.9");
    let body = json!({"query": SEND_OTP, "variables": {"phone": PHONE}});
    let sent: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(sent["data"]["sendOtp"]["otp"], Value::Null);
    app.stop().await;
}

#[tokio::test]
async fn updating_the_profile_changes_only_the_given_fields() {
    const UPDATE: &str = "mutation($input: UpdateProfileInput!) {
        updateProfile(input: $input) { user { email fullName } }
    }";
    let app = TestApp::start().await;
    let user = app.user().await;
    for (input, email, name) in [
        (json!({"email": "ada@example.com", "fullName": " Ada "}), json!("ada@example.com"), json!("Ada")),
        (json!({"fullName": "Ada Lovelace"}), json!("ada@example.com"), json!("Ada Lovelace")),
        (json!({"email": null}), json!(null), json!("Ada Lovelace")),
        (json!({}), json!(null), json!("Ada Lovelace")),
    ] {
        let updated = user.data(UPDATE, json!({ "input": input })).await;
        assert_eq!(updated["updateProfile"]["user"], json!({"email": email, "fullName": name}));
    }
    assert_eq!(user.error_code(UPDATE, json!({"input": {"email": "a b@c.d"}})).await, "BAD_USER_INPUT");
    let anonymous = app.anonymous();
    assert_eq!(anonymous.error_code(UPDATE, json!({"input": {}})).await, "UNAUTHENTICATED");
    app.stop().await;
}
