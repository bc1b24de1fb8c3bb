//! Copying a user's profile to the user's Stripe customer.

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind, stripe_event::STRIPE_RETRIES};
use crate::{
    backoff::RetryPolicy,
    domain::billing::{Billing, SYNC_CUSTOMER},
    error::Result,
};

pub(super) struct SyncCustomer {
    pub(super) billing: Billing,
}

#[async_trait]
impl Kind for SyncCustomer {
    fn name(&self) -> &'static str {
        SYNC_CUSTOMER
    }

    fn retry_policy(&self) -> RetryPolicy {
        STRIPE_RETRIES
    }

    async fn run(&self, job: &job::Model, _: &Context) -> Result<Disposition> {
        if let Some(user) = job.user_id {
            self.billing.sync_customer(user).await?;
        }
        Ok(Disposition::Complete)
    }
}
