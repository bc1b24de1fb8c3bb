//! The state of a user's subscription as last read from Stripe. A user without a row has no Stripe customer. A user with a row
//! has a Stripe customer too, unless the row exists only because an operator has granted Pro.

use sea_orm::entity::prelude::*;
use serde::Serialize;

use crate::{Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subscriptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    #[sea_orm(unique)]
    pub stripe_customer_id: String,
    #[sea_orm(unique)]
    pub stripe_subscription_id: Option<String>,
    pub state: State,
    pub current_period_end: Option<Timestamp>,
    pub cancel_at_period_end: bool,
    /// The user has the tier PRO until this time. Computed when Stripe's state is stored, so that queries and code use the same
    /// value.
    pub pro_until: Option<Timestamp>,
    /// When the state was last read from Stripe, or when a periodic sync last selected the row in order to read it.
    pub updated_at: Timestamp,
    /// Incremented by every stored change, such as a sync with Stripe. The result of a sync is discarded if another change was
    /// stored after the sync had begun.
    pub version: i64,
    /// The last reversed payment, for the operator to read: the type of Stripe's event, and the charge.
    pub reversal: Option<String>,
    pub reversed_at: Option<Timestamp>,
    /// The time until which an operator has granted Pro, independently of the state of the subscription.
    pub granted_until: Option<Timestamp>,
}

/// The beginning of `stripe_customer_id` in the row of a user who has been granted Pro and has no Stripe customer. The column
/// is unique and not null, so the user's id follows.
const NO_CUSTOMER: &str = "none:";

impl Model {
    /// The row of a user without a Stripe customer.
    #[must_use]
    pub fn without_customer(user: UserId, now: Timestamp) -> Self {
        Self {
            user_id: user,
            stripe_customer_id: format!("{NO_CUSTOMER}{user}"),
            stripe_subscription_id: None,
            state: State::None,
            current_period_end: None,
            cancel_at_period_end: false,
            pro_until: None,
            updated_at: now,
            version: 0,
            reversal: None,
            reversed_at: None,
            granted_until: None,
        }
    }

    /// The id of the Stripe customer, if there is one.
    #[must_use]
    pub fn customer(&self) -> Option<&str> {
        Some(&*self.stripe_customer_id).filter(|id| !id.starts_with(NO_CUSTOMER))
    }
}

/// [Stripe's statuses](https://docs.stripe.com/api/subscriptions/object#subscription_object-status), and `None` for a customer
/// without a subscription. `Canceled` includes Stripe's `incomplete_expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    None,
    Active,
    Trialing,
    PastDue,
    Canceled,
    Incomplete,
    Unpaid,
    Paused,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
