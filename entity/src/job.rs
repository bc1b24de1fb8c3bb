//! A job of the queue: work that a worker does after the transaction that created the job has committed. A finished job is
//! deleted.

use sea_orm::entity::prelude::*;

use crate::{ChatroomId, JobId, MessageId, OtpId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    /// The name of the job's kind, at most 32 characters. It is a string instead of an enum, so that a row can be read even if a
    /// newer release has queued a job of a kind that this release does not know.
    pub kind: String,
    /// The user for whom the job runs; null for a job of the system. Claims alternate between users. Deleting the user deletes
    /// the job.
    pub user_id: Option<UserId>,
    /// The chatroom of the reply. The replies of a chatroom are written one after another, because the prompt of each reply
    /// contains the replies before it.
    pub chatroom_id: Option<ChatroomId>,
    /// The reply to write.
    #[sea_orm(unique)]
    pub message_id: Option<MessageId>,
    /// The Stripe event to process.
    #[sea_orm(unique)]
    pub stripe_event_id: Option<String>,
    /// The one-time password to deliver.
    pub otp_id: Option<OtpId>,
    /// The position among the chatroom's jobs: the depth of the message.
    pub position: i32,
    /// The earliest time at which the job may be claimed.
    pub run_at: Timestamp,
    /// Incremented by every claim. A worker's writes carry it and are rejected once another worker has claimed the job.
    pub attempt: i32,
    /// The number of runs that ended in an error. A run whose worker died is not counted.
    pub failures: i32,
    /// When the claim expires unless its lease is renewed; null while the job waits.
    pub leased_until: Option<Timestamp>,
    pub stop_requested: bool,
    /// What the kind needs in addition to the ids above, in a format that the kind defines.
    pub payload: Option<Json>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
