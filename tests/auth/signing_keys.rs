//! Changing the signing secret while users are signed in.

use serde_json::json;

use crate::support::{
    TestUser,
    process::{Deployment, on_process},
    user::{SEND_OTP, VERIFY_OTP},
};

const OLD: &str = "the old secret of thirty-two characters and more";
const NEW: &str = "the new secret of thirty-two characters and more";
const REFRESH: &str = "mutation($token: String!) { refreshToken(input: { refreshToken: $token }) { accessToken refreshToken } }";
const ME: &str = "{ me { id } }";

#[tokio::test]
async fn previous_secret_keeps_tokens_valid_and_new_tokens_use_the_new_secret() {
    let deployment = Deployment::new().await;
    let process = deployment.start_with(&[], &[("JWT_SECRET", OLD)]).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let sent = user.data(SEND_OTP, json!({"phone": "+14155550124"})).await;
    process.terminate();
    assert!(process.wait_for_exit().await);

    let process = deployment.start_with(&[], &[("JWT_SECRET", NEW), ("JWT_PREVIOUS_SECRETS", OLD)]).await;
    let user = on_process(&user, &process);
    assert_eq!(user.data(ME, json!({})).await["me"]["id"], user.id.as_str());
    let code = json!({"phone": "+14155550124", "otp": sent["sendOtp"]["otp"]});
    user.data(VERIFY_OTP, code).await;
    let mut refreshed = user.data(REFRESH, json!({"token": user.refresh_token})).await["refreshToken"].take();
    let renewed = TestUser {
        token: refreshed["accessToken"].take().as_str().unwrap().to_owned(),
        refresh_token: refreshed["refreshToken"].take().as_str().unwrap().to_owned(),
        ..user.clone()
    };
    process.terminate();
    assert!(process.wait_for_exit().await);

    let process = deployment.start_with(&[], &[("JWT_SECRET", NEW)]).await;
    let (old, renewed) = (on_process(&user, &process), on_process(&renewed, &process));
    assert!(old.data(ME, json!({})).await["me"].is_null());
    assert_eq!(renewed.data(ME, json!({})).await["me"]["id"], user.id.as_str());
    let token = json!({"token": renewed.refresh_token});
    assert_eq!(renewed.error_code(REFRESH, token).await, "no error");
    process.terminate();
    assert!(process.wait_for_exit().await);
}
