//! One-time passwords delivered by Twilio's Messages API:
//! <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>.

use async_trait::async_trait;
use entity::otp::Purpose;
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};

use super::otp_http::{error_of_status, send_request};
use crate::ports::otp_sender::{Delivery, DeliveryError, OtpMessage, OtpSender};

/// How much of the body of an error response is read, in bytes.
const MAX_ERROR_BODY: usize = 16 * 1024;

pub struct Twilio {
    pub http: reqwest::Client,
    pub base: String,
    pub account_sid: String,
    pub auth_token: SecretString,
    /// A number in E.164 form, or the id of a messaging service (`MG…`).
    pub from: String,
}

#[async_trait]
impl OtpSender for Twilio {
    fn is_remote(&self) -> bool {
        true
    }

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError> {
        let (base, sid) = (self.base.trim_end_matches('/'), &self.account_sid);
        let action = match message.purpose {
            Purpose::SignIn => "sign in",
            Purpose::Reset => "set a new password",
        };
        let text = format!("{} is your code to {action}. Do not share it.", message.code);
        let sender = if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        let request = self
            .http
            .post(format!("{base}/2010-04-01/Accounts/{sid}/Messages.json"))
            .basic_auth(sid, Some(self.auth_token.expose_secret()))
            .form(&[("To", message.phone_number.as_str()), (sender, &self.from), ("Body", &text)]);
        let mut response = send_request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Delivery::Sent);
        }
        Err(error_of_status(status, &error_code(&mut response).await.unwrap_or_default()))
    }
}

/// [Twilio's error code](https://www.twilio.com/docs/api/errors), for the log. Twilio's message is not logged, because it
/// repeats the phone number.
async fn error_code(response: &mut Response) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BODY
        && let Some(chunk) = response.chunk().await.ok()?
    {
        body.extend_from_slice(&chunk);
    }
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    Some(format!(", Twilio error {}", body["code"].as_u64()?))
}
