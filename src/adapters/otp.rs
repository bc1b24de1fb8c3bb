//! One-time passwords that leave the server by hand: in the response, or in its log.

use async_trait::async_trait;

use crate::ports::otp_sender::{Delivery, OtpSender};

/// The response carries the code, for development.
#[derive(Debug)]
pub struct ByResponse;

#[async_trait]
impl OtpSender for ByResponse {
    async fn send(&self, _: &str, _: &str) -> anyhow::Result<Delivery> {
        Ok(Delivery::ByResponse)
    }
}

/// The log carries the code: whoever chose this delivery reads it there.
#[derive(Debug)]
pub struct ToLog;

#[async_trait]
impl OtpSender for ToLog {
    async fn send(&self, phone_number: &str, code: &str) -> anyhow::Result<Delivery> {
        tracing::info!(phone_number, code, "one-time password");
        Ok(Delivery::Sent)
    }
}
