//! One-time passwords that leave the server by hand: in the response, or in its log.

use async_trait::async_trait;

use crate::ports::otp_sender::{Delivery, DeliveryError, OtpMessage, OtpSender};

/// The response carries the code, for development.
#[derive(Debug)]
pub struct ByResponse;

#[async_trait]
impl OtpSender for ByResponse {
    fn is_slow(&self) -> bool {
        false
    }

    async fn send(&self, _: &OtpMessage) -> Result<Delivery, DeliveryError> {
        Ok(Delivery::ByResponse)
    }
}

/// The log carries the code: whoever chose this delivery reads it there.
#[derive(Debug)]
pub struct ToLog;

#[async_trait]
impl OtpSender for ToLog {
    fn is_slow(&self) -> bool {
        false
    }

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError> {
        let OtpMessage { phone_number, code, .. } = message;
        tracing::info!(phone_number, code, "one-time password");
        Ok(Delivery::Sent)
    }
}
