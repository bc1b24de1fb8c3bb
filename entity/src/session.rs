//! A signed-in device. Ending a session deletes its row.

use sea_orm::entity::prelude::*;

use crate::{SessionId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub user_id: UserId,
    /// SHA-256 of the current refresh token.
    pub refresh_hash: Vec<u8>,
    pub rotated_at: Timestamp,
    /// Whether the client has received the newest refresh token. False after each rotation, until the client uses the access
    /// token that was issued together with the newest refresh token.
    pub is_received: bool,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
