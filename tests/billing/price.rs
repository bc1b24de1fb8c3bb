//! The price of Pro, which the server reads from Stripe and caches.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{TestApp, TestUser, billing::billing_app_at_noon};

const BILLING: &str = "{ billing { isConfigured proPrice { amount currency interval intervalCount } } }";
const ENDPOINT: &str = "GET /v1/prices/price_pro";

async fn price(visitor: &TestUser) -> Value {
    let mut data = visitor.data(BILLING, json!({})).await;
    assert_eq!(data["billing"]["isConfigured"], true);
    data["billing"]["proPrice"].take()
}

#[tokio::test]
async fn a_visitor_sees_the_price_of_pro_and_stripe_is_called_once_an_hour() {
    let app = billing_app_at_noon().await;
    let visitor = app.anonymous();
    let pro = json!({"amount": 1900, "currency": "EUR", "interval": "MONTH", "intervalCount": 1});
    for _ in 0..3 {
        assert_eq!(price(&visitor).await, pro);
    }
    assert_eq!(app.stripe.calls(ENDPOINT).len(), 1);
    // After an hour the price is read again. If Stripe does not respond, the last known price is returned.
    app.advance(TimeDelta::minutes(61)).await;
    app.stripe.set_down(true);
    assert_eq!(price(&visitor).await, pro);
    let calls = app.stripe.calls(ENDPOINT).len();
    assert!(calls > 1);
    assert_eq!(price(&visitor).await, pro);
    assert_eq!(app.stripe.calls(ENDPOINT).len(), calls, "for 10 s after a failed call, Stripe is not called");
    app.stop().await;
}

#[tokio::test]
async fn a_price_that_cannot_be_read_is_null_and_keeps_the_rest_of_the_response() {
    let app = billing_app_at_noon().await;
    app.stripe.set_down(true);
    let response = app.anonymous().execute(BILLING, json!({})).await;
    assert_eq!(response["errors"][0]["extensions"]["code"], "PAYMENT_PROVIDER_ERROR");
    assert_eq!(response["data"]["billing"], json!({"isConfigured": true, "proPrice": null}));
    let calls = app.stripe.calls(ENDPOINT).len();
    let repeated = app.anonymous().execute(BILLING, json!({})).await;
    assert_eq!(repeated["errors"][0]["extensions"]["code"], "PAYMENT_PROVIDER_ERROR");
    assert_eq!(app.stripe.calls(ENDPOINT).len(), calls, "for 10 s after a failed call, Stripe is not called");
    app.stop().await;
}

#[tokio::test]
async fn without_stripe_billing_is_not_configured_and_has_no_price() {
    let app = TestApp::start().await;
    let data = app.anonymous().data(BILLING, json!({})).await;
    assert_eq!(data["billing"], json!({"isConfigured": false, "proPrice": null}));
    app.stop().await;
}
