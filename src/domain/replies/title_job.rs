//! The job that gives a chatroom a title. The transaction that ends one of the chatroom's first replies queues it.

use entity::{
    ChatroomId, job,
    message::{self, Status},
};
use serde::{Deserialize, Serialize};

use super::Replies;
use crate::store::{attempts::QueuedTitle, replies::End};

/// The greatest depth of a reply whose end queues the job: that of the third reply, in case the first ones fail.
const MAX_DEPTH: i32 = 5;

/// The payload of the job. The job does not refer to the chatroom's row, because the replies of a chatroom wait for its
/// earlier jobs.
#[derive(Debug, Serialize, Deserialize)]
pub struct TitleJob {
    pub chatroom: ChatroomId,
}

impl TitleJob {
    /// The kind of these jobs.
    pub const KIND: &str = "title";

    /// None if the job has no valid payload.
    #[must_use]
    pub fn of(job: &job::Model) -> Option<Self> {
        serde_json::from_value(job.payload.clone()?).ok()
    }
}

impl Replies {
    /// The job to queue with this end, if the chatroom still has the default title and is not temporary.
    pub(super) fn title_job(&self, reply: &message::Model, end: &End) -> Option<QueuedTitle> {
        let is_early = reply.depth <= MAX_DEPTH && end.status == Status::Completed;
        let payload = || serde_json::json!(TitleJob { chatroom: reply.chatroom_id });
        (self.titles && is_early).then(|| QueuedTitle { kind: TitleJob::KIND, payload: payload() })
    }
}
