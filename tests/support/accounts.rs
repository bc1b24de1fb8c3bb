//! Accounts: signing up, verifying codes, signing in with a password.

use serde_json::{Value, json};

use super::{TestApp, TestUser, user::VERIFY_OTP};

pub const PHONE: &str = "+14155550199";
pub const UNREGISTERED_PHONE: &str = "+14155550100";
pub const PASSWORD: &str = "correct horse";
pub const SIGNUP: &str = "mutation($input: SignupInput!) { signup(input: $input) {
    user { id phoneNumber email fullName hasPassword verifiedAt subscription { tier } usage { used limit } }
    signupToken otp { otp phoneNumber expiresAt resendAt }
} }";
pub const LOGIN: &str = "mutation($phone: PhoneNumber!, $password: String!) {
    login(input: { phoneNumber: $phone, password: $password }) { accessToken refreshToken user { id hasPassword } }
}";
pub const CHANGE_PASSWORD: &str = "mutation($current: String, $new: String!) {
    changePassword(input: { currentPassword: $current, newPassword: $new }) { user { id hasPassword } }
}";
pub const ME: &str = "{ me { id email fullName hasPassword verifiedAt } }";

pub async fn login(app: &TestApp, phone: &str, password: &str) -> Value {
    app.anonymous().execute(LOGIN, json!({"phone": phone, "password": password})).await
}

pub async fn verify(app: &TestApp, phone: &str, otp: &Value) -> Value {
    app.anonymous().execute(VERIFY_OTP, json!({"phone": phone, "otp": otp})).await
}

/// Verifies the code of a signup together with its signup token. `signup` is the payload of the mutation `signup`.
pub async fn verify_signup(app: &TestApp, phone: &str, signup: &Value) -> Value {
    let query = "mutation($input: VerifyOtpInput!) { verifyOtp(input: $input) { accessToken user { id } } }";
    let input =
        json!({"phoneNumber": phone, "otp": signup["otp"]["otp"], "signupToken": signup["signupToken"]});
    app.anonymous().execute(query, json!({ "input": input })).await
}

/// A user with the phone number [`PHONE`] and the password [`PASSWORD`].
pub async fn user_with_password(app: &TestApp) -> TestUser {
    let user = app.sign_in_as(PHONE).await;
    user.data(CHANGE_PASSWORD, json!({"new": PASSWORD})).await;
    user
}

/// The same user with another access token: the one in the payload of the mutation `field`, which `response` contains.
pub fn with_token_of(user: &TestUser, response: &Value, field: &str) -> TestUser {
    let token = response["data"][field]["accessToken"].as_str().unwrap().to_owned();
    TestUser { token, ..user.clone() }
}
