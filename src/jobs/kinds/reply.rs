//! Writing a reply. Each run of the job is one attempt.

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind};
use crate::{
    backoff::RetryPolicy,
    domain::replies::{JOB_KIND, Replies},
    error::Result,
};

/// The domain changes the reply and its job in one transaction, so every run is [`Disposition::Settled`].
pub(super) struct WriteReply {
    pub(super) replies: Replies,
}

#[async_trait]
impl Kind for WriteReply {
    fn name(&self) -> &'static str {
        JOB_KIND
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.replies.retry_policy()
    }

    async fn run(&self, job: &job::Model, context: &Context) -> Result<Disposition> {
        let next = self.replies.run_attempt(job, &context.cancel, context.next_lease).await?;
        Ok(Disposition::Settled { next: next.map(Box::new) })
    }

    /// Requeues the reply's job, or ends the reply as FAILED.
    async fn on_error(&self, job: &job::Model) -> Result<Disposition> {
        self.replies.fail_attempt(job).await?;
        Ok(Disposition::Settled { next: None })
    }
}
