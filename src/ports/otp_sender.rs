//! Delivery of one-time passwords.

use async_trait::async_trait;
use entity::{OtpId, Timestamp, otp::Purpose};

/// How the code was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Sent to the phone number.
    Sent,
    /// Not sent: the API response contains it, for development.
    ByResponse,
}

/// A code for a phone number.
#[derive(Clone)]
pub struct OtpMessage {
    /// The same for every delivery attempt.
    pub id: OtpId,
    pub phone_number: String,
    pub code: String,
    pub purpose: Purpose,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Permanent: it cannot be delivered to this number.
    #[error("{0:#}")]
    Refused(anyhow::Error),
    /// Temporary: a retry may succeed.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

#[async_trait]
pub trait OtpSender: Send + Sync {
    /// Whether sending waits for an external service, so that a job must do it.
    fn is_slow(&self) -> bool;

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError>;
}
