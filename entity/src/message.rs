//! A message or a reply. The messages of a chatroom form a tree; the active messages form one of its branches.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ChatroomId, MessageId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    pub user_id: UserId,
    pub chatroom_id: ChatroomId,
    /// The message that this one follows or replies to; null for a first message of the chatroom.
    pub parent_id: Option<MessageId>,
    /// The number of the message's ancestors. It orders the messages of a branch independently of the nodes' clocks.
    pub depth: i32,
    /// Whether the message is on the active branch, which contains at most one message of each depth.
    pub active: bool,
    pub role: Role,
    pub content: String,
    pub status: Status,
    /// The number of the attempt that wrote `content`; 0 before the first attempt at the reply.
    pub attempt: i32,
    pub failure_code: Option<FailureCode>,
    pub failure_message: Option<String>,
    /// The model that writes the reply; null until it is known.
    pub model: Option<String>,
    pub finish_reason: Option<String>,
    pub prompt_tokens: Option<i32>,
    pub output_tokens: Option<i32>,
    pub thought_tokens: Option<i32>,
    pub feedback: Option<Feedback>,
    /// The chatroom's version at which the message was inserted.
    pub added_version: i64,
    /// The chatroom's version at which the message last changed. Text that is added while the reply is streamed does not count
    /// as a change.
    pub changed_version: i64,
    pub created_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    User,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Queued,
    Streaming,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    /// Whether the status cannot change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Why a reply failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(32))", rename_all = "snake_case")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    ContentBlocked,
    ModelUnavailable,
    ModelRateLimited,
    ModelRejected,
    Misconfigured,
    TimedOut,
    Internal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "snake_case")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Feedback {
    Up,
    Down,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::chatroom::Entity",
        from = "Column::ChatroomId",
        to = "super::chatroom::Column::Id"
    )]
    Chatroom,
}

impl Related<super::chatroom::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Chatroom.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
