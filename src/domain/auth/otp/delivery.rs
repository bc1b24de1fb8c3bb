//! Delivering a one-time password by a service that may be slow or away: as a job.

use std::time::Duration;

use entity::job;

use super::super::{Keys, OtpCode};
use crate::{
    clock::Clock,
    error::Result,
    ports::otp_sender::{DeliveryError, OtpSender},
    store::{Db, jobs, jobs::Claim, otps},
};

const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What it takes to deliver.
#[derive(Clone)]
pub struct Deliveries {
    pub db: Db,
    pub clock: Clock,
    pub keys: std::sync::Arc<Keys>,
    pub otp_sender: std::sync::Arc<dyn OtpSender>,
}

impl Deliveries {
    /// Delivers the code of a claimed job; again and again while it can be used, unless the service refuses the number.
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
        let code = OtpCode::of(&self.keys.current, otp.id);
        match self.otp_sender.send(&super::message(&otp, code)).await {
            Ok(_) => {}
            Err(DeliveryError::Refused(cause)) => {
                tracing::warn!(otp = %otp.id, cause = format!("{cause:#}"), "a one-time password cannot be delivered");
            }
            Err(DeliveryError::Failed(cause)) => {
                tracing::warn!(otp = %otp.id, cause = format!("{cause:#}"), "a one-time password is sent again");
                return self.later(job, claim).await;
            }
        }
        jobs::done(self.db.write(), claim).await?;
        Ok(())
    }

    /// After a fault of ours.
    pub async fn broke(&self, job: &job::Model) -> Result<()> {
        self.later(job, Claim { job: job.id, attempt: job.attempt }).await
    }

    async fn later(&self, job: &job::Model, claim: Claim) -> Result<()> {
        let wait = FIRST_WAIT * 2_u32.pow(job.failures.clamp(0, 6).cast_unsigned());
        jobs::release(self.db.write(), claim, self.clock.now() + wait, job.failures + 1).await?;
        Ok(())
    }
}
