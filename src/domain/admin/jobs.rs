//! The job queue as an operator sees it: jobs that fail or wait too long, and retrying or dropping one job.

use chrono::TimeDelta;
use entity::{
    JobId, job,
    message::{FailureCode, Status},
};

use super::{Admin, Author, JobReport};
use crate::{
    domain::auth::ERASE_ACCOUNT,
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        admin,
        attempts::{self, Charge},
        commit,
        jobs::Claim,
        messages, queue,
        replies::{End, Usage},
    },
    telemetry::metrics::QueueState,
};

/// A job counts as stuck once it has been due for this long.
const STUCK_AFTER: TimeDelta = TimeDelta::minutes(5);

impl Admin {
    /// Jobs that have failed at least once, whose lease has expired, or that are stuck; oldest first.
    pub async fn troubled_jobs(&self, limit: u64) -> Result<Vec<JobReport>> {
        let now = self.clock.now();
        let jobs = admin::troubled_jobs(self.db.read(), now, now - STUCK_AFTER, limit).await?;
        Ok(jobs.into_iter().map(|job| JobReport::new(job, now)).collect())
    }

    /// The state of the queue, for each kind of job.
    pub async fn queue(&self) -> Result<Vec<QueueState>> {
        Ok(queue::state(self.db.read(), self.clock.now()).await?)
    }

    /// Counts over the whole installation, such as users and messages, each with its name.
    pub async fn stats(&self) -> Result<Vec<(&'static str, i64)>> {
        Ok(admin::stats(self.db.read(), self.clock.now()).await?)
    }

    /// Makes a waiting job due now and sets its count of failures to 0, so that all of its retries are left.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Conflict`] if a worker runs it.
    pub async fn retry_job(&self, author: &Author, id: JobId) -> Result<()> {
        let job = self.job(id).await?;
        self.db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                if !admin::retry_job(&tx, id, self.clock.now()).await? {
                    return Err(Error::Conflict("A worker is running this job.".to_owned()));
                }
                let subject = Some(format!("{} {id}", job.kind));
                self.record(&tx, author, "retry-job", job.user_id, subject, &[Topic::Jobs]).await?;
                Ok(commit(tx).await?)
            })
            .await?;
        self.signal(&[Topic::Jobs]).await;
        Ok(())
    }

    /// Drops a job. If the job writes a reply, the reply becomes FAILED, and its prompt is refunded.
    ///
    /// # Errors
    /// [`Error::NotFound`]. [`Error::Conflict`] for a job that erases an account, because the account's data would stay, and if
    /// a worker has claimed or ended the job of a reply in the meantime.
    pub async fn drop_job(&self, author: &Author, id: JobId) -> Result<()> {
        let job = self.job(id).await?;
        if job.kind == ERASE_ACCOUNT {
            return Err(Error::Conflict("The erasure of an account cannot be dropped.".to_owned()));
        }
        let mut topics = vec![Topic::Jobs];
        topics.extend(job.chatroom_id.map(Topic::Chatroom));
        topics.extend(job.user_id.map(Topic::Account));
        let tx = self.db.begin().await?;
        let subject = Some(format!("{} {id}", job.kind));
        self.record(&tx, author, "drop-job", job.user_id, subject, &topics).await?;
        // The job of a reply is not deleted here: `fail_reply` deletes it together with ending the reply.
        if job.message_id.is_none() && !admin::drop_job(&tx, id).await? {
            return Err(Error::NotFound("job"));
        }
        commit(tx).await?;
        if job.message_id.is_some() {
            self.fail_reply(&job).await?;
        }
        self.signal(&topics).await;
        Ok(())
    }

    /// Deletes the job of a reply and ends the reply as FAILED with the text that is stored. A worker that is writing the
    /// reply loses its claim.
    async fn fail_reply(&self, job: &job::Model) -> Result<()> {
        let Some(id) = job.message_id else { return Ok(()) };
        let Some(reply) = messages::by_id(self.db.read(), id).await? else { return Ok(()) };
        let end = End {
            status: Status::Failed,
            content: reply.content.clone(),
            failure: Some((FailureCode::Internal, "An operator ended this reply.".to_owned())),
            finish_reason: None,
            usage: Usage::default(),
            charged_tokens: 0,
            at: self.clock.now(),
        };
        let day = self.quota.calendar.period(reply.created_at).day;
        let charge = Charge { day, is_refunded: true, tokens: 0 };
        let finished = attempts::finish(&self.db, Claim::of(job), &reply, end, charge, None, None).await?;
        if finished.is_none() {
            return Err(Error::Conflict(
                "A worker has claimed or ended this job meanwhile; retry.".to_owned(),
            ));
        }
        Ok(())
    }

    async fn job(&self, id: JobId) -> Result<job::Model> {
        admin::job(self.db.read(), id).await?.ok_or(Error::NotFound("job"))
    }
}
