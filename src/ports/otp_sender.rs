//! How a one-time password reaches its owner.

use async_trait::async_trait;
use entity::{OtpId, Timestamp, otp::Purpose};

/// Where the code went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To its owner.
    Sent,
    /// Nowhere: the response is to carry it, for development.
    ByResponse,
}

/// A code for a phone.
#[derive(Clone)]
pub struct Message {
    /// The same for every try to deliver it.
    pub id: OtpId,
    pub phone_number: String,
    pub code: String,
    pub purpose: Purpose,
    pub expires_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It will not be delivered to this number, however often it is sent.
    #[error("{0:#}")]
    Refused(anyhow::Error),
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

#[async_trait]
pub trait OtpSender: Send + Sync {
    /// Whether sending waits for somebody else, and so is a job's work.
    fn is_slow(&self) -> bool;

    async fn send(&self, message: &Message) -> Result<Delivery, DeliveryError>;
}
