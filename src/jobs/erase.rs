//! Erasing an account that was ended: its rooms, what it pays for, and its row with all that belongs to it.

use std::time::Duration;

use entity::job;

use super::Runner;
use crate::{
    error::Result,
    store::{commit, jobs, users},
};

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

impl Runner {
    /// Safe to run again: what is gone is gone. The row goes last, since the job goes with it.
    pub(super) async fn erase_account(&self, job: &job::Model) -> Result<()> {
        let Some(user) = job.user_id else { return Ok(()) };
        self.chat.delete_chatrooms(user).await?;
        self.billing.leave(user).await?;
        let tx = self.chat.db.begin().await?;
        users::delete_deleted(&tx, user).await?;
        commit(tx).await?;
        tracing::info!(%user, "an account was erased");
        Ok(())
    }

    /// It is never given up: somebody may still be paying.
    pub(super) async fn erasure_broke(&self, job: &job::Model) -> Result<()> {
        let wait = (FIRST_WAIT * 2_u32.pow(job.failures.clamp(0, 10).cast_unsigned())).min(LONGEST_WAIT);
        let claim = jobs::Claim { job: job.id, attempt: job.attempt };
        jobs::release(self.chat.db.write(), claim, self.chat.clock.now() + wait, job.failures + 1).await?;
        Ok(())
    }
}
