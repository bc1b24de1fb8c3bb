//! An accepted webhook event of Stripe. Its id identifies repeated deliveries, which have no effect.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stripe_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: String,
    /// The Stripe customer; empty if only the charge is known.
    pub customer_id: String,
    /// The charge that was reversed; null if the event is not about a reversed charge.
    pub charge_id: Option<String>,
    pub received_at: Timestamp,
    /// When the event was processed; null until then.
    pub processed_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
