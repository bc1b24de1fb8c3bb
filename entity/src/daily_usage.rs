//! The usage of one user on one day. Days begin and end in the time zone of the quotas.

use sea_orm::entity::prelude::*;

use crate::UserId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "daily_usage")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: Date,
    /// The number of prompts.
    pub used: i32,
    /// The number of tokens of the replies that have ended.
    pub tokens: i64,
    /// The number of replies that have not ended, or were deleted before they ended.
    pub unfinished: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
