//! Asking the model for a chatroom's title.

use std::time::Duration;

use async_trait::async_trait;
use entity::job;

use super::{Context, Disposition, Kind};
use crate::{
    backoff::{Backoff, RetryPolicy},
    domain::{
        chatrooms::{Chatrooms, TitleResult},
        replies::TitleJob,
    },
    error::Result,
};

pub(super) struct GenerateTitle {
    pub(super) chatrooms: Chatrooms,
}

#[async_trait]
impl Kind for GenerateTitle {
    fn name(&self) -> &'static str {
        TitleJob::KIND
    }

    fn retry_policy(&self) -> RetryPolicy {
        let backoff = Backoff::doubling(Duration::from_secs(2), Duration::from_mins(1)).with_jitter();
        RetryPolicy { backoff, max_tries: Some(3) }
    }

    async fn run(&self, job: &job::Model, context: &Context) -> Result<Disposition> {
        let Some(TitleJob { chatroom }) = TitleJob::of(job) else { return Ok(Disposition::Complete) };
        let title = self.chatrooms.generate_title(chatroom);
        let Some(result) = context.cancel.release.run_until_cancelled(title).await else {
            return Ok(Disposition::Release);
        };
        Ok(match result? {
            TitleResult::Done => Disposition::Complete,
            TitleResult::Retry => Disposition::Retry,
        })
    }

    /// The chatroom keeps its default title.
    async fn give_up(&self, job: &job::Model) -> Result<()> {
        tracing::warn!(job = %job.id, "chatroom title given up");
        Ok(())
    }
}
