//! A conversation.

use sea_orm::entity::prelude::*;

use crate::{ChatroomId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize, serde::Deserialize)]
#[sea_orm(table_name = "chatrooms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChatroomId,
    pub user_id: UserId,
    pub title: String,
    pub system_instruction: Option<String>,
    pub model: String,
    /// Incremented by every change in the chatroom, under the row's lock. Orders the events of `chatroomEvents`.
    pub version: i64,
    /// The version at which the chatroom itself, not a message in it, was last changed.
    pub changed_version: i64,
    pub created_at: Timestamp,
    /// The last activity, by which the list is sorted.
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
