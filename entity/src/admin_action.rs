//! A change that an operator has made by `pollux admin`. Rows are never changed or deleted.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "admin_actions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub at: Timestamp,
    /// The operator's name in the operating system.
    pub actor: String,
    /// The name of the command.
    pub action: String,
    /// The user who was affected. The row of an erased user does not exist any more.
    pub user_id: Option<UserId>,
    /// What else was affected, such as the id of a job, or until when Pro was granted.
    pub subject: Option<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// The signals that the change causes, separated by spaces, for a server that does not share signals with the command.
    pub signals: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
