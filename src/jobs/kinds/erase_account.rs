//! Erasing a deleted account: its chatrooms, its Stripe customer, and its row with everything that belongs to it.

use std::time::Duration;

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::{auth::ERASE_ACCOUNT, billing::Billing, chatrooms::Chatrooms},
    error::Result,
    store::{commit, users},
};

pub(super) struct EraseAccount {
    pub(super) chatrooms: Chatrooms,
    pub(super) billing: Billing,
}

#[async_trait]
impl Kind for EraseAccount {
    fn name(&self) -> &'static str {
        ERASE_ACCOUNT
    }

    /// The number of tries is not limited, because the user may still be paying for a subscription.
    fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_hours(1));
        RetryPolicy { backoff, max_tries: None }
    }

    /// A run after a failed one repeats all steps, which is harmless. The user's row is deleted last, because this also deletes
    /// the job.
    async fn run(&self, job: &job::Model, _: &Context) -> Result<Disposition> {
        let Some(user) = job.user_id else { return Ok(Disposition::Complete) };
        self.chatrooms.delete_chatrooms(user).await?;
        self.billing.erase_user(user).await?;
        let tx = self.chatrooms.db.begin().await?;
        users::delete_erased(&tx, user).await?;
        commit(tx).await?;
        tracing::info!(%user, "account erased");
        Ok(Disposition::Complete)
    }
}
