//! A change that an operator has made with `pollux admin`, for the audit log. Rows are never changed or deleted.

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
    /// The affected user; null if the change is not about a user. If the user was erased, `users` has no row with this id.
    pub user_id: Option<UserId>,
    /// Further details of the change, such as the id of the affected job, or the time until which Pro was granted.
    pub subject: Option<String>,
    /// The operator's reason for the change, as free text.
    pub reason: String,
    /// The signals to publish because of the change, separated by spaces. The command publishes them through Redis. A server
    /// without Redis cannot receive them, so it reads them here and publishes them itself.
    pub signals: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
