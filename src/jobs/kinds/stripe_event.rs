//! Processing a Stripe event: syncing its customer, or recording a reversed payment.

use std::time::Duration;

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::billing::{Billing, STRIPE_EVENT},
    error::Result,
};

/// The retry policy of jobs that call Stripe. The tries extend over about a day.
pub(super) const STRIPE_RETRIES: RetryPolicy = RetryPolicy {
    backoff: Backoff::doubling(Duration::from_secs(1), Duration::from_hours(1)).with_jitter(),
    max_tries: Some(36),
};

pub(super) struct ProcessStripeEvent {
    pub(super) billing: Billing,
}

#[async_trait]
impl Kind for ProcessStripeEvent {
    fn name(&self) -> &'static str {
        STRIPE_EVENT
    }

    fn retry_policy(&self) -> RetryPolicy {
        STRIPE_RETRIES
    }

    /// A run is not cancelled when its claim is lost. The run itself deletes the job when it stores the billing state, which also
    /// counts as a lost claim, and then still has to signal the user. If another worker has claimed the job, both may sync at the
    /// same time: only the sync that is stored first takes effect, and the other one is discarded.
    async fn run(&self, job: &job::Model, context: &Context) -> Result<Disposition> {
        let Some(event) = &job.stripe_event_id else { return Ok(Disposition::Complete) };
        tokio::select! {
            processed = self.billing.process_event(event) => processed.map(|()| Disposition::Complete),
            () = context.cancel.release.cancelled() => Ok(Disposition::Release),
        }
    }

    async fn give_up(&self, job: &job::Model) -> Result<()> {
        let event = job.stripe_event_id.as_deref();
        tracing::error!(
            job = %job.id,
            kind = job.kind,
            event,
            "job given up; `pollux stripe replay` retries the event"
        );
        Ok(())
    }
}
