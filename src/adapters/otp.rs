//! One-time passwords that this process delivers itself: in the response or in its log.

use async_trait::async_trait;

use crate::ports::otp_sender::{Delivery, DeliveryError, OtpMessage, OtpSender};

/// Sends nothing: the response to the client contains the code. For development.
#[derive(Debug)]
pub struct ByResponse;

#[async_trait]
impl OtpSender for ByResponse {
    fn is_remote(&self) -> bool {
        false
    }

    async fn send(&self, _: &OtpMessage) -> Result<Delivery, DeliveryError> {
        Ok(Delivery::ByResponse)
    }
}

/// Writes the code to the log. An operator delivers it to the user.
#[derive(Debug)]
pub struct ToLog;

#[async_trait]
impl OtpSender for ToLog {
    fn is_remote(&self) -> bool {
        false
    }

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError> {
        let OtpMessage { phone_number, code, .. } = message;
        tracing::info!(phone_number, code, "one-time password");
        Ok(Delivery::Sent)
    }
}
