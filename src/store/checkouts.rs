//! Stripe Checkout sessions, in which users subscribe.

use checkout::{Column, Entity, Status};
use entity::{Timestamp, UserId, checkout};
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*, sea_query::OnConflict};

/// Stores a checkout, unless it is stored already.
pub async fn insert(conn: &impl ConnectionTrait, checkout: checkout::Model) -> Result<(), DbErr> {
    let keep_existing = OnConflict::new().do_nothing().to_owned();
    Entity::insert(checkout.into_active_model())
        .on_conflict(keep_existing)
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

pub async fn owned_by(
    conn: &impl ConnectionTrait,
    user: UserId,
    session: &str,
) -> Result<Option<checkout::Model>, DbErr> {
    Entity::find_by_id(session).filter(Column::UserId.eq(user)).one(conn).await
}

pub async fn of_user(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<checkout::Model>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user)).order_by_asc(Column::CreatedAt).all(conn).await
}

/// The user's newest checkout.
pub async fn newest_of(conn: &impl ConnectionTrait, user: UserId) -> Result<Option<checkout::Model>, DbErr> {
    Entity::find()
        .filter(Column::UserId.eq(user))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::SessionId)
        .limit(1)
        .one(conn)
        .await
}

/// The user's checkouts that can still be paid.
pub async fn open_of(conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<checkout::Model>, DbErr> {
    // A literal, because only then can the database use its index of open checkouts.
    Entity::find().filter(Column::UserId.eq(user)).filter(Expr::cust("status = 'open'")).all(conn).await
}

/// Deletes the checkouts that have ended and were created before `before`. Returns how many.
pub async fn delete_ended(conn: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let ended =
        Entity::delete_many().filter(Column::Status.ne(Status::Open)).filter(Column::CreatedAt.lt(before));
    Ok(ended.exec(conn).await?.rows_affected)
}

/// Sets the final status of an open checkout.
pub async fn end(conn: &impl ConnectionTrait, session: &str, status: Status) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(status))
        .filter(Column::SessionId.eq(session))
        .filter(Column::Status.eq(Status::Open))
        .exec(conn)
        .await?;
    Ok(())
}
