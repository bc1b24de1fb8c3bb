//! Inserts users with a Stripe customer into the database.

use chrono::{DateTime, Utc};
use entity::{UserId, subscription};
use pollux::store::subscriptions;
use sea_orm::ConnectionTrait;

use crate::support::user::insert_user;

/// Inserts the row that connects a user with a Stripe customer.
pub async fn insert_customer(db: &impl ConnectionTrait, user: UserId, id: &str, now: DateTime<Utc>) {
    let new = subscription::Model {
        stripe_customer_id: id.to_owned(),
        ..subscription::Model::without_customer(user, now)
    };
    subscriptions::insert(db, new).await.unwrap();
}

/// Inserts users with Stripe customers, and returns the customers' ids.
pub async fn insert_customers(db: &impl ConnectionTrait, count: usize, now: DateTime<Utc>) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let user = insert_user(db, &format!("+1212555{number:04}"), now).await;
        ids.push(format!("cus_{number}"));
        insert_customer(db, user.id, &ids[number], now).await;
    }
    ids
}
