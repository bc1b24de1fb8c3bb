//! A person, known by a verified phone number.

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
    /// Grows with every change of the user's list of rooms, in the same transaction: part of the list's cache key, so that
    /// a cached page can never be older than the last write.
    pub rooms_version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Since when the account is being erased: nothing of it is to be seen, and its number is free.
    pub deleted_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
