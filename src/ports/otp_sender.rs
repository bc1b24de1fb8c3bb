//! The delivery of one-time passwords.

use async_trait::async_trait;
use entity::{OtpId, Timestamp, otp::Purpose};

/// How a code was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Sent to the phone, or written to the log.
    Sent,
    /// Not sent: the response contains it, for development.
    ByResponse,
}

/// A code to deliver, and the phone number that receives it.
#[derive(Clone)]
pub struct OtpMessage {
    /// The id of the challenge: the same for every attempt to deliver it.
    pub id: OtpId,
    pub phone_number: String,
    pub code: String,
    pub purpose: Purpose,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The service rejects the message or its number; a retry cannot succeed.
    #[error("{0:#}")]
    Rejected(anyhow::Error),
    /// The service failed; a retry may succeed.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

#[async_trait]
pub trait OtpSender: Send + Sync {
    /// Whether `send` calls another service, so that it should run in a job.
    fn is_remote(&self) -> bool;

    /// Delivers the code.
    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError>;
}
