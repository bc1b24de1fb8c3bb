//! A one-time password that was sent, as a challenge. Its code is made from its id by a key, and stored nowhere.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{OtpId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "otps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OtpId,
    pub phone_number: String,
    pub purpose: Purpose,
    /// The profile of a signup, as JSON, until it is taken by whoever proves the number and has the signup's token.
    pub signup: Option<String>,
    /// Counted up before a comparison, so that guesses in parallel do not multiply.
    pub tries: i32,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What a code is good for, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    SignIn,
    Reset,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
