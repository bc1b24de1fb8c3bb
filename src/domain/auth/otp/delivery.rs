//! Delivers one-time passwords through a remote service. A job does this, because the service may be slow or down.

use std::sync::Arc;

use entity::OtpId;

use super::super::{Keys, OtpCode};
use crate::{
    clock::Clock,
    error::Result,
    ports::otp_sender::{DeliveryError, OtpSender},
    store::{Db, otps},
};

/// The kind of the jobs that deliver a one-time password.
pub const DELIVER_OTP: &str = "deliver_otp";

/// Delivers one-time passwords. Separate from `Auth`, because a process without the API has no `Auth`.
#[derive(Clone)]
pub struct OtpDeliverer {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<Keys>,
    pub otp_sender: Arc<dyn OtpSender>,
}

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// No retry: the service accepted the message or rejected it permanently, or the one-time password is no longer needed.
    Done,
    /// The service failed: retry until the one-time password expires.
    Retry,
}

impl OtpDeliverer {
    /// Delivers a one-time password if it is the newest for its phone number and purpose, unused and not expired.
    pub async fn deliver(&self, id: OtpId) -> Result<DeliveryResult> {
        let Some(otp) = otps::by_id(self.db.read(), id).await? else { return Ok(DeliveryResult::Done) };
        let newest = otps::newest(self.db.read(), &otp.phone_number, otp.purpose).await?;
        let is_usable = otp.used_at.is_none() && otp.expires_at > self.clock.now();
        if newest != Some(otp.id) || !is_usable {
            return Ok(DeliveryResult::Done);
        }
        let code = OtpCode::derive(&self.keys.current, otp.id);
        match self.otp_sender.send(&super::message(&otp, code)).await {
            Ok(_) => Ok(DeliveryResult::Done),
            Err(DeliveryError::Rejected(error)) => {
                tracing::warn!(otp = %otp.id, error = format!("{error:#}"), "one-time password rejected by the delivery service");
                Ok(DeliveryResult::Done)
            }
            Err(DeliveryError::Failed(error)) => {
                tracing::warn!(otp = %otp.id, error = format!("{error:#}"), "one-time password delivery failed; will retry");
                Ok(DeliveryResult::Retry)
            }
        }
    }
}
