//! One-time passwords on their way: by an operator's endpoint, by Twilio, and to whom not.

use chrono::TimeDelta;
use pollux::clock::Clock;
use ring::hmac;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    PostOffice, TestApp, TestUser,
    app::Wishes,
    code_of,
    letters::Letter,
    process::{Site, moved},
    user::{SEND_OTP, VERIFY_OTP},
};

const PHONE: &str = "+14155550199";
const SECRET: &str = "whsec of at least thirty-two characters";

async fn by_webhook(office: &PostOffice) -> TestApp {
    by_webhook_at(office, None).await
}

async fn by_webhook_at(office: &PostOffice, clock: Option<Clock>) -> TestApp {
    let url = format!("--otp-webhook-url=http://{}/codes", office.address);
    let secret = format!("--otp-webhook-secret={SECRET}");
    let limits = if clock.is_some() { "--rate-limits=off" } else { "--rate-limits=on" };
    let settings = ["--otp-delivery=webhook", "--otp-countries=*", limits, &url, &secret];
    TestApp::with(Wishes { settings: &settings, clock, ..Wishes::default() }).await
}

/// What a letter of the webhook's says, if its signature holds.
fn opened(letter: &Letter) -> Value {
    let signature = letter.headers["pollux-signature"].to_str().unwrap();
    let (at, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = format!("{at}.{}", letter.body);
    hmac::verify(&key, signed.as_bytes(), &hex::decode(tag).unwrap()).unwrap();
    serde_json::from_str(&letter.body).unwrap()
}

#[tokio::test]
async fn a_webhook_is_sent_the_code_signed_and_again_until_it_takes_it() {
    let office = PostOffice::open().await;
    for status in [500, 429] {
        office.answers(status);
    }
    let app = by_webhook(&office).await;
    let sent = app.stranger().data(SEND_OTP, json!({ "phone": PHONE })).await;
    assert_eq!(sent["sendOtp"]["otp"], Value::Null, "the code goes one way only");
    let letters = office.letters(3).await;
    let said: Vec<_> = letters.iter().map(opened).collect();
    assert_eq!(letters[0].path, "/codes");
    assert_eq!(
        (&said[0]["type"], &said[0]["phoneNumber"], &said[0]["purpose"]),
        (&json!("otp"), &json!(PHONE), &json!("sign_in"))
    );
    let time = |text: &Value| text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(time(&said[0]["expiresAt"]), time(&sent["sendOtp"]["expiresAt"]));
    assert!(said.iter().all(|again| *again == said[0]), "the same code, under the same id");
    app.is_idle().await;
    let verified = app.stranger().data(VERIFY_OTP, json!({"phone": PHONE, "otp": said[0]["code"]})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn a_code_that_works_no_more_is_not_sent_any_more() {
    let office = PostOffice::open().await;
    office.answers(500);
    let app = by_webhook_at(&office, Some(Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap()))).await;
    app.stranger().data(SEND_OTP, json!({ "phone": PHONE })).await;
    app.has_put_off(1).await;
    app.stranger().data(SEND_OTP, json!({ "phone": PHONE })).await;
    office.letters(2).await;
    // The first one's turn to be tried again.
    app.clock.advance(TimeDelta::seconds(2));
    app.is_idle().await;
    let letters = office.letters(2).await;
    assert_eq!(letters.len(), 2);
    assert_ne!(opened(&letters[0])["id"], opened(&letters[1])["id"]);
    app.stop().await;
}

#[tokio::test]
async fn a_number_that_the_service_refuses_is_not_sent_to_again() {
    let office = PostOffice::open().await;
    office.answers(400);
    let app = by_webhook(&office).await;
    app.stranger().data(SEND_OTP, json!({ "phone": PHONE })).await;
    app.is_idle().await;
    assert_eq!(office.letters(1).await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_code_outlives_the_server_that_was_to_send_it() {
    let site = Site::new().await;
    let office = PostOffice::open().await;
    let url = format!("http://{}/codes", office.address);
    let by_webhook = |url: &str| {
        [
            ("OTP_DELIVERY", "webhook".to_owned()),
            ("OTP_COUNTRIES", "*".to_owned()),
            ("OTP_WEBHOOK_SECRET", SECRET.to_owned()),
            ("OTP_WEBHOOK_URL", url.to_owned()),
        ]
    };
    let settings = |of: &[(&'static str, String); 4]| of.clone();
    // Nobody is there.
    let nowhere = settings(&by_webhook("http://127.0.0.1:9/codes"));
    let nowhere: Vec<_> = nowhere.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let process = site.start_with(&[], &nowhere).await;
    let stranger = TestUser::stranger(process.address);
    stranger.data(SEND_OTP, json!({ "phone": PHONE })).await;
    process.kill();
    let there = settings(&by_webhook(&url));
    let there: Vec<_> = there.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let process = site.start_with(&[], &there).await;
    let code = opened(&office.letters(1).await[0])["code"].clone();
    let verified = moved(&stranger, &process).data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_code_stands_in_the_log_where_that_is_wanted() {
    let site = Site::new().await;
    let mut process = site.start_with(&[], &[("OTP_DELIVERY", "log")]).await;
    let stranger = TestUser::stranger(process.address);
    let sent = stranger.data(SEND_OTP, json!({ "phone": PHONE })).await;
    assert_eq!(sent["sendOtp"]["otp"], Value::Null);
    let line = process.says(PHONE).await;
    let code: String = line.rsplit("code").next().unwrap().chars().filter(char::is_ascii_digit).collect();
    let verified = stranger.data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn twilio_is_spoken_to_in_its_own_words() {
    let office = PostOffice::open().await;
    let base = format!("--twilio-api-base=http://{}", office.address);
    let settings = [
        "--otp-delivery=twilio",
        "--otp-countries=*",
        "--twilio-account-sid=AC1",
        "--twilio-auth-token=hush",
        "--twilio-from=+14155550100",
        &base,
    ];
    let app = TestApp::with_settings(&settings).await;
    app.stranger().data(SEND_OTP, json!({ "phone": PHONE })).await;
    let letter = office.letters(1).await.remove(0);
    assert_eq!(letter.path, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(letter.headers["authorization"], "Basic QUMxOmh1c2g=");
    assert_eq!(letter.headers["content-type"], "application/x-www-form-urlencoded");
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(letter.body.as_bytes()).into_owned().collect();
    let code = form[2].1.split(' ').next().unwrap().to_owned();
    let text = format!("{code} is your code to sign in. Do not share it.");
    let expected = [("To", PHONE), ("From", "+14155550100"), ("Body", &text)];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let verified = app.stranger().data(VERIFY_OTP, json!({"phone": PHONE, "otp": code})).await;
    assert_eq!(verified["verifyOtp"]["user"]["phoneNumber"], PHONE);
    app.stop().await;
}

#[tokio::test]
async fn twilios_error_code_is_logged_without_the_number_and_the_code() {
    let office = PostOffice::open().await;
    let site = Site::new().await;
    let base = format!("http://{}", office.address);
    let settings = [
        ("OTP_DELIVERY", "twilio"),
        ("OTP_COUNTRIES", "*"),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", "hush"),
        ("TWILIO_FROM", "+14155550100"),
        ("TWILIO_API_BASE", &base),
    ];
    let mut process = site.start_with(&[], &settings).await;
    for (status, code, log) in [(429, 20429, "will retry"), (400, 21211, "rejected by the delivery service")]
    {
        let message = format!("The 'To' number {PHONE} is not valid.");
        office.answers_with(status, &json!({"code": code, "message": message, "status": status}).to_string());
        if code == 20429 {
            TestUser::stranger(process.address).data(SEND_OTP, json!({ "phone": PHONE })).await;
        }
        let line = process.says(log).await;
        assert!(line.contains(&format!("Twilio error {code}")), "{line}");
        assert!(!line.contains(PHONE) && !line.contains("not valid"), "{line}");
    }
    process.terminate();
    assert!(process.ended().await);
}

async fn sends(app: &TestApp, phone: &str) -> Value {
    app.stranger().ask_api(SEND_OTP, json!({ "phone": phone })).await
}

#[tokio::test]
async fn only_numbers_of_served_countries_get_codes() {
    let app = TestApp::with_settings(&["--otp-countries=DE,us"]).await;
    assert_eq!(code_of(&sends(&app, "+491701234567").await), "no error");
    assert_eq!(code_of(&sends(&app, PHONE).await), "no error");
    // Canada shares its code with the United States.
    for elsewhere in ["+14165550123", "+447400123456"] {
        let refused = sends(&app, elsewhere).await;
        assert_eq!(
            refused["errors"][0]["extensions"],
            json!({"code": "BAD_USER_INPUT", "field": "phoneNumber"})
        );
    }
    assert_eq!(entity::otp::Entity::find().all(app.chat.db.read()).await.unwrap().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_block_of_numbers_gets_so_many_codes_an_hour() {
    let clock = Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap());
    let wishes = Wishes { settings: &["--otp-prefix-limit=3"], clock: Some(clock), ..Default::default() };
    let app = TestApp::with(wishes).await;
    for number in 0..3 {
        assert_eq!(code_of(&sends(&app, &format!("+1415555010{number}")).await), "no error");
    }
    assert_eq!(code_of(&sends(&app, "+14155550199").await), "RATE_LIMITED");
    assert_eq!(code_of(&sends(&app, "+14155560199").await), "no error", "of another block");
    app.pass(TimeDelta::hours(1)).await;
    assert_eq!(code_of(&sends(&app, "+14155550199").await), "no error");
    app.stop().await;
}
