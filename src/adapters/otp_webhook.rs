//! One-time passwords by an endpoint of the operator's, which knows how to reach a phone.
//!
//! A request is signed as Stripe's are: `pollux-signature: t=<unix>,v1=<hex>`, HMAC-SHA256 over `t.body`.

use anyhow::anyhow;
use async_trait::async_trait;
use reqwest::{Response, StatusCode, Url};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::{
    clock::Clock,
    ports::otp_sender::{Delivery, DeliveryError, OtpMessage, OtpSender},
};

pub struct OtpWebhook {
    http: reqwest::Client,
    url: Url,
    key: hmac::Key,
    clock: Clock,
}

impl OtpWebhook {
    #[must_use]
    pub fn new(http: reqwest::Client, url: Url, secret: &SecretString, clock: Clock) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Self { http, url, key, clock }
    }
}

#[async_trait]
impl OtpSender for OtpWebhook {
    fn is_slow(&self) -> bool {
        true
    }

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError> {
        let body = json!({
            "id": message.id,
            "type": "otp",
            "phoneNumber": message.phone_number,
            "code": message.code,
            "purpose": message.purpose,
            "expiresAt": message.expires_at,
        })
        .to_string();
        let at = self.clock.now().timestamp();
        let tag = hmac::sign(&self.key, format!("{at}.{body}").as_bytes());
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("pollux-signature", format!("t={at},v1={}", hex::encode(tag)))
            .body(body);
        answered(request).await
    }
}

/// Sends a request to a service that delivers. What it refuses for good it answers with a 4xx that is not about the moment.
pub(super) async fn answered(request: reqwest::RequestBuilder) -> Result<Delivery, DeliveryError> {
    let response = sent(request).await?;
    let status = response.status();
    if status.is_success() { Ok(Delivery::Sent) } else { Err(refusal(status, "")) }
}

pub(super) async fn sent(request: reqwest::RequestBuilder) -> Result<Response, DeliveryError> {
    request.send().await.map_err(|error| DeliveryError::Failed(error.without_url().into()))
}

/// What a status that is no success says, with the service's own `detail`.
pub(super) fn refusal(status: StatusCode, detail: &str) -> DeliveryError {
    let cause = anyhow!("the service answered {status}{detail}");
    match status.as_u16() {
        401 | 403 | 404 | 408 | 425 | 429 | 500.. => DeliveryError::Failed(cause),
        _ => DeliveryError::Refused(cause),
    }
}
