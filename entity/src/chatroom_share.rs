//! A link to a chatroom as it was when its owner shared it. Anyone with the link can read it without signing in. The messages
//! that the link shows are listed in `share_messages`.

use sea_orm::entity::prelude::*;

use crate::{ChatroomId, ShareId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chatroom_shares")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ShareId,
    pub user_id: UserId,
    pub chatroom_id: ChatroomId,
    /// The chatroom's title when it was shared.
    pub title: String,
    pub created_at: Timestamp,
    /// When the link expires; null if it does not.
    pub expires_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
