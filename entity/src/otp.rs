//! A one-time password that was sent, as a challenge.

use sea_orm::entity::prelude::*;

use crate::{OtpId, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "otps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OtpId,
    pub phone_number: String,
    /// HMAC-SHA256 over the challenge's id and the code: a copy of the table cannot be searched for codes without the key.
    pub code_hash: Vec<u8>,
    /// Counted up before a comparison, so that guesses in parallel do not multiply.
    pub tries: i32,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
