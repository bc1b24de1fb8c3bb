//! A user, identified by a verified phone number.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    #[sea_orm(unique)]
    pub phone_number: String,
    pub email: Option<String>,
    pub full_name: Option<String>,
    pub password_hash: Option<String>,
    pub verified_at: Option<Timestamp>,
    /// Incremented by every change of the user's list of chatrooms, in the same transaction. It is part of the list's cache
    /// key, so that a cached page is never older than the last write.
    pub chatrooms_version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When the account was deleted. From then on, the account is hidden and another account can use its phone number; a job
    /// erases the row and what belongs to it.
    pub deleted_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
