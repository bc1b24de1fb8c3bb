//! A conversation.

use sea_orm::{FromJsonQueryResult, entity::prelude::*};
use serde::{Deserialize, Serialize};

use crate::{ChatroomId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "chatrooms")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChatroomId,
    pub user_id: UserId,
    pub title: String,
    pub system_instruction: Option<String>,
    pub model: String,
    /// The chatroom's own generation settings; null if those of the server apply.
    #[sea_orm(column_type = "Json", nullable)]
    pub generation: Option<Generation>,
    /// Incremented by every change in the chatroom, under the row's lock. Orders the events of `chatroomEvents`.
    pub version: i64,
    /// The version at which the chatroom itself, not a message in it, was last changed.
    pub changed_version: i64,
    pub created_at: Timestamp,
    /// The last activity, by which the list is sorted.
    pub updated_at: Timestamp,
    /// When the owner pinned it; null unless it is pinned.
    pub pinned_at: Option<Timestamp>,
    /// When the owner archived it; null unless it is archived.
    pub archived_at: Option<Timestamp>,
    /// Whether the chatroom is deleted automatically some time after its last activity.
    pub is_temporary: bool,
    pub title_source: TitleSource,
    /// Its group in the owner's list: see [`Model::rank`].
    pub list_rank: i16,
}

impl Model {
    /// The rank of an archived chatroom, which has a list of its own. Higher ranks come first in the list.
    pub const ARCHIVED: i16 = 0;
    const LISTED: i16 = 1;
    const PINNED: i16 = 2;

    /// The value of `list_rank` for these times.
    #[must_use]
    pub fn rank(pinned_at: Option<Timestamp>, archived_at: Option<Timestamp>) -> i16 {
        match (pinned_at, archived_at) {
            (_, Some(_)) => Self::ARCHIVED,
            (Some(_), None) => Self::PINNED,
            (None, None) => Self::LISTED,
        }
    }
}

/// Where a chatroom's title comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(8))", rename_all = "snake_case")]
pub enum TitleSource {
    /// The title that every new chatroom has. The model may replace it.
    Default,
    Model,
    User,
}

/// Settings of text generation. If a value is none, the server's value applies, or the model's default if the server has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default, rename_all = "camelCase")]
pub struct Generation {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// The maximum number of tokens of an answer, thoughts included.
    pub max_output_tokens: Option<i32>,
    /// The maximum number of tokens for thoughts.
    pub thinking_budget: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
