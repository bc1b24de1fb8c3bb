//! Delivery of one-time passwords: by webhook, by Twilio and to the log; retries, allowed countries and limits.

use chrono::TimeDelta;
use pollux::clock::Clock;
use ring::hmac;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    DeliveryService, TestApp, TestUser,
    app::TestOptions,
    code_of,
    delivery_service::RecordedRequest,
    process::{Deployment, on_process},
    user::{SEND_OTP, VERIFY_OTP},
};

const PHONE: &str = "+14155550199";
const SECRET: &str = "whsec of at least thirty-two characters";

async fn app_with_webhook(service: &DeliveryService) -> TestApp {
    app_with_webhook_at(service, None).await
}

/// With a clock, rate limits are off, so that a test can request a second code without advancing the clock.
async fn app_with_webhook_at(service: &DeliveryService, clock: Option<Clock>) -> TestApp {
    let url = format!("--otp-webhook-url=http://{}/codes", service.address);
    let secret = format!("--otp-webhook-secret={SECRET}");
    let limits = if clock.is_some() { "--rate-limits=off" } else { "--rate-limits=on" };
    let settings = ["--otp-delivery=webhook", "--otp-countries=*", limits, &url, &secret];
    TestApp::with(TestOptions { settings: &settings, clock, ..TestOptions::default() }).await
}

/// Verifies the signature of a webhook request and parses its body.
fn verified_body(request: &RecordedRequest) -> Value {
    let signature = request.headers["pollux-signature"].to_str().unwrap();
    let (at, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("{at}.{}", request.body);
    hmac::verify(&key, signed.as_bytes(), &hex::decode(tag).unwrap()).unwrap();
    serde_json::from_str(&request.body).unwrap()
}

#[tokio::test]
async fn signed_code_is_sent_to_the_webhook_until_it_is_accepted() {
    let service = DeliveryService::start().await;
    for status in [500, 429] {
        service.enqueue_status(status);
    }
    let app = app_with_webhook(&service).await;
    let sent = app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    assert_eq!(sent["sendOtp"]["otp"], Value::Null, "the response does not contain the code");
    let requests = service.wait_for_requests(3).await;
    let bodies: Vec<_> = requests.iter().map(verified_body).collect();
    assert_eq!(requests[0].path, "/codes");
    assert_eq!(
        (&bodies[0]["type"], &bodies[0]["phoneNumber"], &bodies[0]["purpose"]),
        (&json!("otp"), &json!(PHONE), &json!("sign_in"))
    );
    let time = |text: &Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(time(&bodies[0]["expiresAt"]), time(&sent["sendOtp"]["expiresAt"]));
    assert!(bodies.iter().all(|body| *body == bodies[0]), "every attempt has the same id and code");
    app.wait_until_idle().await;
    let verified = app.anonymous().data(VERIFY_OTP, json!({"phone": PHONE, "otp": bodies[0]["code"]})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn replaced_code_is_not_sent_by_a_retry() {
    let service = DeliveryService::start().await;
    service.enqueue_status(500);
    let app =
        app_with_webhook_at(&service, Some(Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap()))).await;
    app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    app.wait_for_retry(1).await;
    app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    service.wait_for_requests(2).await;
    // The retry of the first code is due now.
    app.clock.advance(TimeDelta::seconds(2));
    app.wait_until_idle().await;
    let requests = service.wait_for_requests(2).await;
    assert_eq!(requests.len(), 2);
    assert_ne!(verified_body(&requests[0])["id"], verified_body(&requests[1])["id"]);
    app.stop().await;
}

#[tokio::test]
async fn delivery_rejected_by_the_service_is_not_retried() {
    let service = DeliveryService::start().await;
    service.enqueue_status(400);
    let app = app_with_webhook(&service).await;
    app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    app.wait_until_idle().await;
    assert_eq!(service.wait_for_requests(1).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn code_queued_by_a_killed_server_is_sent_by_the_next_server() {
    let deployment = Deployment::new().await;
    let service = DeliveryService::start().await;
    let url = format!("http://{}/codes", service.address);
    let webhook_settings = |url: &str| {
        [
            ("OTP_DELIVERY", "webhook".to_owned()),
            ("OTP_COUNTRIES", "*".to_owned()),
            ("OTP_WEBHOOK_SECRET", SECRET.to_owned()),
            ("OTP_WEBHOOK_URL", url.to_owned()),
        ]
    };
    // No service listens on this port.
    let unreachable = webhook_settings("http://127.0.0.1:9/codes");
    let unreachable: Vec<_> = unreachable.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let process = deployment.start_with(&[], &unreachable).await;
    let anonymous = TestUser::anonymous(process.address);
    anonymous.data(SEND_OTP, json!({ "phone": PHONE })).await;
    process.kill();
    let reachable = webhook_settings(&url);
    let reachable: Vec<_> = reachable.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let process = deployment.start_with(&[], &reachable).await;
    let code = verified_body(&service.wait_for_requests(1).await[0])["code"].clone();
    let verified =
        on_process(&anonymous, &process).data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn log_delivery_writes_the_code_to_the_log() {
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[("OTP_DELIVERY", "log")]).await;
    let anonymous = TestUser::anonymous(process.address);
    let sent = anonymous.data(SEND_OTP, json!({ "phone": PHONE })).await;
    assert_eq!(sent["sendOtp"]["otp"], Value::Null);
    let line = process.wait_for_log(PHONE).await;
    let code: String = line.rsplit("code").next().unwrap().chars().filter(char::is_ascii_digit).collect();
    let verified = anonymous.data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn twilio_receives_the_documented_request() {
    let service = DeliveryService::start().await;
    let base = format!("--twilio-api-base=http://{}", service.address);
    let settings = [
        "--otp-delivery=twilio",
        "--otp-countries=*",
        "--twilio-account-sid=AC1",
        "--twilio-auth-token=hush",
        "--twilio-from=+14155550100",
        &base,
    ];
    let app = TestApp::with_settings(&settings).await;
    app.anonymous().data(SEND_OTP, json!({ "phone": PHONE })).await;
    let request = service.wait_for_requests(1).await.remove(0);
    assert_eq!(request.path, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(request.headers["authorization"], "Basic QUMxOmh1c2g=");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
    let code = form[2].1.split(' ').next().unwrap().to_owned();
    let text = format!("{code} is your code to sign in. Do not share it.");
    let expected = [("To", PHONE), ("From", "+14155550100"), ("Body", &text)];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let verified = app.anonymous().data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn twilio_error_code_is_logged_without_the_number_and_the_code() {
    let service = DeliveryService::start().await;
    let deployment = Deployment::new().await;
    let base = format!("http://{}", service.address);
    let settings = [
        ("OTP_DELIVERY", "twilio"),
        ("OTP_COUNTRIES", "*"),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", "hush"),
        ("TWILIO_FROM", "+14155550100"),
        ("TWILIO_API_BASE", &base),
    ];
    let mut process = deployment.start_with(&[], &settings).await;
    // The first response makes the server retry, and the second one answers the retry.
    for (status, code, log) in [(429, 20429, "will retry"), (400, 21211, "rejected by the delivery service")]
    {
        let message = format!("The 'To' number {PHONE} is not valid.");
        service.enqueue_response(
            status,
            &json!({"code": code, "message": message, "status": status}).to_string(),
        );
        if code == 20429 {
            TestUser::anonymous(process.address).data(SEND_OTP, json!({ "phone": PHONE })).await;
        }
        let line = process.wait_for_log(log).await;
        assert!(line.contains(&format!("Twilio error {code}")), "{line}");
        assert!(!line.contains(PHONE) && !line.contains("not valid"), "{line}");
    }
    process.terminate();
    assert!(process.wait_for_exit().await);
}

async fn request_code(app: &TestApp, phone: &str) -> Value {
    app.anonymous().execute(SEND_OTP, json!({ "phone": phone })).await
}

#[tokio::test]
async fn numbers_of_other_countries_get_no_codes() {
    let app = TestApp::with_settings(&["--otp-countries=DE,us"]).await;
    assert_eq!(code_of(&request_code(&app, "+491701234567").await), "no error");
    assert_eq!(code_of(&request_code(&app, PHONE).await), "no error");
    // Canada has the same calling code as the United States.
    for phone in ["+14165550123", "+447400123456"] {
        let rejected = request_code(&app, phone).await;
        assert_eq!(
            rejected["errors"][0]["extensions"],
            json!({"code": "BAD_USER_INPUT", "field": "phoneNumber"})
        );
    }
    assert_eq!(entity::otp::Entity::find().all(app.chatrooms.db.read()).await.unwrap().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn codes_for_a_number_prefix_are_limited_per_hour() {
    let clock = Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap());
    let options =
        TestOptions { settings: &["--otp-prefix-limit=3"], clock: Some(clock), ..Default::default() };
    let app = TestApp::with(options).await;
    for number in 0..3 {
        assert_eq!(code_of(&request_code(&app, &format!("+1415555010{number}")).await), "no error");
    }
    assert_eq!(code_of(&request_code(&app, "+14155550199").await), "RATE_LIMITED");
    assert_eq!(code_of(&request_code(&app, "+14155560199").await), "no error", "another prefix");
    app.advance(TimeDelta::hours(1)).await;
    assert_eq!(code_of(&request_code(&app, "+14155550199").await), "no error");
    app.stop().await;
}
