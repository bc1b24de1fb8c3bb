//! The job that delivers a one-time password through a service that may be slow or down.

use std::{sync::Arc, time::Duration};

use entity::job;

use super::super::{Keys, OtpCode};
use crate::{
    clock::Clock,
    error::Result,
    ports::otp_sender::{DeliveryError, OtpSender},
    store::{Db, jobs, jobs::Claim, otps},
};

const FIRST_DELAY: Duration = Duration::from_secs(1);

/// What delivery jobs need. A worker has it without the rest of `Auth`.
#[derive(Clone)]
pub struct Deliveries {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<Keys>,
    pub otp_sender: Arc<dyn OtpSender>,
}

impl Deliveries {
    /// Delivers the code of a claimed job. A failed delivery is retried until the code expires, is used or is replaced,
    /// unless the service rejects the number.
    pub async fn deliver(&self, job: &job::Model) -> Result<()> {
        let claim = Claim { job: job.id, attempt: job.attempt };
        let now = self.clock.now();
        let otp = match job.otp_id {
            Some(id) => otps::by_id(self.db.read(), id).await?,
            None => None,
        };
        let is_newest = match &otp {
            Some(otp) => otps::newest(self.db.read(), &otp.phone_number, otp.purpose).await? == Some(otp.id),
            None => false,
        };
        let Some(otp) = otp.filter(|otp| is_newest && otp.used_at.is_none() && otp.expires_at > now) else {
            jobs::done(self.db.write(), claim).await?;
            return Ok(());
        };
        let code = OtpCode::derive(&self.keys.current, otp.id);
        match self.otp_sender.send(&super::message(&otp, code)).await {
            Ok(_) => {}
            Err(DeliveryError::Refused(error)) => {
                tracing::warn!(otp = %otp.id, error = format!("{error:#}"), "one-time password rejected by the delivery service");
            }
            Err(DeliveryError::Failed(error)) => {
                tracing::warn!(otp = %otp.id, attempt = job.failures + 1, error = format!("{error:#}"), "one-time password delivery failed; will retry");
                return self.retry_later(job).await;
            }
        }
        jobs::done(self.db.write(), claim).await?;
        Ok(())
    }

    /// Releases a failed job until its next retry.
    pub async fn retry_later(&self, job: &job::Model) -> Result<()> {
        let claim = Claim { job: job.id, attempt: job.attempt };
        let delay = FIRST_DELAY * 2_u32.pow(job.failures.clamp(0, 6).cast_unsigned());
        jobs::release(self.db.write(), claim, self.clock.now() + delay, job.failures + 1).await?;
        Ok(())
    }
}
