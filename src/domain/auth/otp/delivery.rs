//! Delivering a one-time password through a service that may be slow or down: from a job.

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

/// What delivery jobs need. A worker has it without the rest of `Auth`.
#[derive(Clone)]
pub struct Deliveries {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<Keys>,
    pub otp_sender: Arc<dyn OtpSender>,
}

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It was accepted, or there is nothing to deliver any more, or the service rejects the number.
    Done,
    /// The service failed: retry for as long as the password can be used.
    Unavailable,
}

impl Deliveries {
    /// Delivers a one-time password if it is the newest of its number, unused and not expired.
    pub async fn deliver(&self, id: OtpId) -> Result<Delivered> {
        let Some(otp) = otps::by_id(self.db.read(), id).await? else { return Ok(Delivered::Done) };
        let newest = otps::newest(self.db.read(), &otp.phone_number, otp.purpose).await?;
        let is_usable = otp.used_at.is_none() && otp.expires_at > self.clock.now();
        if newest != Some(otp.id) || !is_usable {
            return Ok(Delivered::Done);
        }
        let code = OtpCode::derive(&self.keys.current, otp.id);
        match self.otp_sender.send(&super::message(&otp, code)).await {
            Ok(_) => Ok(Delivered::Done),
            Err(DeliveryError::Rejected(error)) => {
                tracing::warn!(otp = %otp.id, error = format!("{error:#}"), "one-time password rejected by the delivery service");
                Ok(Delivered::Done)
            }
            Err(DeliveryError::Failed(error)) => {
                tracing::warn!(otp = %otp.id, error = format!("{error:#}"), "one-time password delivery failed; will retry");
                Ok(Delivered::Unavailable)
            }
        }
    }
}
