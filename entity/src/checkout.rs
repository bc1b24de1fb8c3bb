//! A Stripe Checkout session: a payment page of Stripe on which the user can subscribe.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "checkouts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: String,
    pub user_id: UserId,
    pub status: Status,
    pub url: String,
    pub success_url: String,
    pub cancel_url: String,
    pub price_id: String,
    pub created_at: Timestamp,
}

/// [Stripe's statuses](https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Status {
    Open,
    Complete,
    Expired,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
