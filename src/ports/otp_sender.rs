//! How a one-time password reaches its owner.

use async_trait::async_trait;

/// Where the code went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To its owner.
    Sent,
    /// Nowhere: the response is to carry it, for development.
    ByResponse,
}

#[async_trait]
pub trait OtpSender: Send + Sync {
    async fn send(&self, phone_number: &str, code: &str) -> anyhow::Result<Delivery>;
}
