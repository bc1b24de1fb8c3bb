//! Delivering a one-time password through a service that may be slow or unavailable.

use std::time::Duration;

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::auth::{DELIVER_OTP, DeliveryResult, OtpDeliverer},
    error::Result,
};

pub(super) struct DeliverOtp {
    pub(super) otp_deliverer: OtpDeliverer,
}

#[async_trait]
impl Kind for DeliverOtp {
    fn name(&self) -> &'static str {
        DELIVER_OTP
    }

    /// The number of tries is not limited here: the retries end when the one-time password expires.
    fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(64));
        RetryPolicy { backoff, max_tries: None }
    }

    async fn run(&self, job: &job::Model, _: &Context) -> Result<Disposition> {
        let Some(otp) = job.otp_id else { return Ok(Disposition::Complete) };
        Ok(match self.otp_deliverer.deliver(otp).await? {
            DeliveryResult::Done => Disposition::Complete,
            DeliveryResult::Retry => Disposition::Retry,
        })
    }
}
