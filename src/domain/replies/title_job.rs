//! The job that gives a chatroom a title. The transaction that ends one of the chatroom's first replies queues it.

use entity::{
    ChatroomId, job,
    message::{self, Status},
};
use serde::{Deserialize, Serialize};

use super::Replies;
use crate::store::{attempts::QueuedTitle, replies::End};

/// The greatest depth of a reply whose end queues the job. This is the depth of the third reply: if the first ones fail, a later
/// one queues the job.
const MAX_DEPTH: i32 = 5;

/// The payload of the job. It names the chatroom, and the job's `chatroom_id` is empty: otherwise the chatroom's next replies
/// would wait for this job.
#[derive(Debug, Serialize, Deserialize)]
pub struct TitleJob {
    pub chatroom: ChatroomId,
}

impl TitleJob {
    /// The kind of these jobs.
    pub const KIND: &str = "title";

    /// The payload of a job; none if it is not valid.
    #[must_use]
    pub fn of(job: &job::Model) -> Option<Self> {
        serde_json::from_value(job.payload.clone()?).ok()
    }
}

impl Replies {
    /// The title job to queue in the transaction that ends the reply; none unless titles are on and the reply is an early one and
    /// has completed. The transaction queues the job only if the chatroom still has the default title and is not temporary.
    pub(super) fn title_job(&self, reply: &message::Model, end: &End) -> Option<QueuedTitle> {
        let is_due = self.titles && reply.depth <= MAX_DEPTH && end.status == Status::Completed;
        let payload = || serde_json::json!(TitleJob { chatroom: reply.chatroom_id });
        is_due.then(|| QueuedTitle { kind: TitleJob::KIND, payload: payload() })
    }
}
