//! Users.

use entity::{Timestamp, UserId, user};
use sea_orm::{ActiveValue::Set, ExprTrait, QuerySelect, entity::prelude::*, sea_query::OnConflict};

/// The user of a verified number, made if new.
pub async fn verified(
    conn: &impl ConnectionTrait,
    phone_number: &str,
    now: Timestamp,
) -> Result<user::Model, DbErr> {
    let new = user::ActiveModel {
        id: Set(UserId::generate()),
        phone_number: Set(phone_number.to_owned()),
        verified_at: Set(Some(now)),
        rooms_version: Set(0),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let known = OnConflict::column(user::Column::PhoneNumber)
        .value(user::Column::VerifiedAt, Expr::col((user::Entity, user::Column::VerifiedAt)).if_null(now))
        .to_owned();
    user::Entity::insert(new).on_conflict(known).exec_with_returning(conn).await
}

pub async fn by_id(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id).one(conn).await
}

pub async fn by_ids(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<user::Model>, DbErr> {
    user::Entity::find().filter(user::Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// The version of the user's list of rooms, which every change of it counts up.
pub async fn rooms_version(conn: &impl ConnectionTrait, id: UserId) -> Result<i64, DbErr> {
    let version: Option<i64> = user::Entity::find_by_id(id)
        .select_only()
        .column(user::Column::RoomsVersion)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(version.unwrap_or_default())
}

/// To be called in every transaction that changes the user's list of rooms or its order.
pub async fn count_rooms_change(conn: &impl ConnectionTrait, id: UserId) -> Result<(), DbErr> {
    user::Entity::update_many()
        .col_expr(user::Column::RoomsVersion, Expr::col(user::Column::RoomsVersion).add(1))
        .filter(user::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(())
}
