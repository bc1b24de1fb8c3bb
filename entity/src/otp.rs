//! A challenge: a one-time password that was sent. The code is not stored: it is derived from the challenge's id with a secret
//! key.

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
    /// The profile of a pending sign-up, as JSON. It becomes null when a client that has the sign-up token verifies the phone
    /// number and thereby creates the user.
    pub signup: Option<String>,
    /// The number of codes that were tried. It is incremented before the code is compared, so that concurrent guesses do not
    /// exceed the limit.
    pub tries: i32,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The only operation that a code is valid for.
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
