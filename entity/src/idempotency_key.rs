//! The idempotency key of a request, and what the first request with it created.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// SHA-256 of the request: the same key with another request is a conflict.
    pub fingerprint: Vec<u8>,
    /// The id of the reply, or of another object if the request created no reply.
    #[sea_orm(column_name = "reply_id")]
    pub result_id: Uuid,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
