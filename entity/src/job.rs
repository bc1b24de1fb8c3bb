//! Work that must happen after a commit. A job that is done is deleted.

use sea_orm::entity::prelude::*;

use crate::{ChatroomId, JobId, MessageId, OtpId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub kind: Kind,
    /// Whose turn it takes: claims are fair by user.
    pub user_id: Option<UserId>,
    /// A room's replies are written one after the other, since each reads those before it.
    pub chatroom_id: Option<ChatroomId>,
    #[sea_orm(unique)]
    pub message_id: Option<MessageId>,
    #[sea_orm(unique)]
    pub stripe_event_id: Option<String>,
    pub otp_id: Option<OtpId>,
    /// The place among a room's jobs: the depth of the message.
    pub position: i32,
    /// Not before this.
    pub run_at: Timestamp,
    /// Counted up by every claim; a worker's writes carry it and fail once it has moved on.
    pub attempt: i32,
    /// Tries that ended in an error; a worker that died is not counted.
    pub failures: i32,
    /// Until when the claim holds without a heartbeat; none while it waits.
    pub leased_until: Option<Timestamp>,
    pub stop_requested: bool,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(32))", rename_all = "snake_case")]
pub enum Kind {
    /// Write the reply `message_id`.
    Reply,
    /// Ask Stripe what the event `stripe_event_id` tells of.
    StripeEvent,
    /// Deliver the one-time password `otp_id`.
    DeliverOtp,
    /// Bring the profile of `user_id` to the user's customer at Stripe.
    SyncCustomer,
    /// Erase the account of `user_id` and everything in it.
    EraseAccount,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
