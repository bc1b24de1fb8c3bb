//! A message, or the reply to one. Messages of a room form a tree; the active ones are a path through it.

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
    /// What it answers or follows; none for the first of a room.
    pub parent_id: Option<MessageId>,
    /// How many messages stand before it on its path: the order of a room, whatever the clocks of the nodes say.
    pub depth: i32,
    /// Whether the room's path goes through it. At most one message of a depth is active.
    pub active: bool,
    pub role: Role,
    pub content: String,
    pub status: Status,
    /// Which attempt at the reply `content` belongs to; 0 before the first.
    pub attempt: i32,
    pub failure_code: Option<FailureCode>,
    pub failure_message: Option<String>,
    /// The model that wrote it, once known.
    pub model: Option<String>,
    pub finish_reason: Option<String>,
    pub prompt_tokens: Option<i32>,
    pub output_tokens: Option<i32>,
    pub thought_tokens: Option<i32>,
    pub feedback: Option<Feedback>,
    /// The room's version at which it came.
    pub added_in: i64,
    /// The room's version at which it last changed; text that streams in does not count.
    pub changed_in: i64,
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
    /// Whether nothing will be added any more.
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
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
