//! The kinds of jobs, and the registry of them.

mod deliver_otp;
mod erase_account;
mod reply;
mod stripe_event;
mod sync_customer;
mod title;

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use entity::job;

use crate::{
    backoff::RetryPolicy,
    domain::{auth::OtpDeliverer, billing::Billing, chatrooms::Chatrooms, replies::CancelTokens},
    error::Result,
};

/// What to do with a job's row after a run.
#[derive(Clone, Debug)]
pub(super) enum Disposition {
    /// Delete it: the job is done.
    Complete,
    /// Count a failure, and retry after the backoff, or delete the row if the retry policy allows no further try.
    Retry,
    /// Return it to the queue for another worker, without counting a failure.
    Release,
    /// Do nothing: the run has updated or deleted the row in its own transaction. In this transaction it may also have claimed
    /// the next job, which the worker then runs.
    Settled { next: Option<Box<job::Model>> },
}

impl Disposition {
    /// The name of the run's result in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Complete | Self::Settled { .. } => "done",
            Self::Retry => "retry",
            Self::Release => "released",
        }
    }
}

/// What a run receives besides its job.
pub(super) struct Context {
    pub(super) cancel: CancelTokens,
    /// If set, the run may claim a next job when it ends, with a lease of this length. None if the worker shuts down, has no
    /// other free permit for the jobs of other users, or has run the maximum number of jobs one after another.
    pub(super) next_lease: Option<Duration>,
}

/// One kind of job.
#[async_trait]
pub(super) trait Kind: Send + Sync {
    /// The value of `kind` in the rows of its jobs.
    fn name(&self) -> &'static str;

    fn retry_policy(&self) -> RetryPolicy;

    /// Runs a claimed job. A job may run more than once: if its worker is killed, another worker claims it.
    ///
    /// # Errors
    /// An internal error, or a failure of a provider. The caller then calls [`on_error`](Self::on_error).
    async fn run(&self, job: &job::Model, context: &Context) -> Result<Disposition>;

    /// Called after a run that returned an error or panicked. Returns what to do with the job's row.
    async fn on_error(&self, _job: &job::Model) -> Result<Disposition> {
        Ok(Disposition::Retry)
    }

    /// Called after the last failure that the retry policy allows. The job's row is deleted afterwards.
    async fn give_up(&self, job: &job::Model) -> Result<()> {
        tracing::error!(job = %job.id, kind = job.kind, failures = job.failures + 1, "job given up");
        Ok(())
    }
}

/// All kinds, by name.
pub(super) struct Registry(HashMap<&'static str, Box<dyn Kind>>);

impl Registry {
    pub(super) fn new(chatrooms: &Chatrooms, billing: &Billing, otp_deliverer: &OtpDeliverer) -> Self {
        Self::of([
            Box::new(reply::WriteReply { replies: chatrooms.replies.clone() }) as Box<dyn Kind>,
            Box::new(title::GenerateTitle { chatrooms: chatrooms.clone() }),
            Box::new(deliver_otp::DeliverOtp { otp_deliverer: otp_deliverer.clone() }),
            Box::new(stripe_event::ProcessStripeEvent { billing: billing.clone() }),
            Box::new(sync_customer::SyncCustomer { billing: billing.clone() }),
            Box::new(erase_account::EraseAccount { chatrooms: chatrooms.clone(), billing: billing.clone() }),
        ])
    }

    fn of(kinds: impl IntoIterator<Item = Box<dyn Kind>>) -> Self {
        Self(kinds.into_iter().map(|kind| (kind.name(), kind)).collect())
    }

    /// The kind of this name. None if only a newer release knows it.
    pub(super) fn get(&self, name: &str) -> Option<&dyn Kind> {
        self.0.get(name).map(|kind| &**kind)
    }
}
