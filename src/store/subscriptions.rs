//! Subscriptions.

use entity::{UserId, subscription};
use sea_orm::entity::prelude::*;

pub async fn of_user(
    conn: &impl ConnectionTrait,
    user: UserId,
) -> Result<Option<subscription::Model>, DbErr> {
    subscription::Entity::find_by_id(user).one(conn).await
}

pub async fn of_users(
    conn: &impl ConnectionTrait,
    users: &[UserId],
) -> Result<Vec<subscription::Model>, DbErr> {
    let among = subscription::Column::UserId.is_in(users.iter().copied());
    subscription::Entity::find().filter(among).all(conn).await
}
