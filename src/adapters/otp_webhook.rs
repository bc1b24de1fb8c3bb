//! One-time passwords delivered by a webhook, an HTTP endpoint that the operator provides.
//!
//! Requests are signed as Stripe signs its webhooks: `pollux-signature: t=<unix>,v1=<hex>`, an HMAC-SHA256 over `<t>.<body>`.

use async_trait::async_trait;
use reqwest::Url;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::otp_http::{error_of_status, send_request};
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
    fn is_remote(&self) -> bool {
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
        let signed_at = self.clock.now().timestamp();
        let tag = hmac::sign(&self.key, format!("{signed_at}.{body}").as_bytes());
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("pollux-signature", format!("t={signed_at},v1={}", hex::encode(tag)))
            .body(body);
        let status = send_request(request).await?.status();
        if status.is_success() { Ok(Delivery::Sent) } else { Err(error_of_status(status, "")) }
    }
}
