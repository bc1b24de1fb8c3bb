//! Users, their profiles, and the versions of their lists of chatrooms.

use entity::{Timestamp, UserId, user};
use sea_orm::{ExprTrait, IntoActiveModel, QuerySelect, entity::prelude::*, sea_query::OnConflict};
use user::Column;

use super::{Transaction, sql};

/// The user with the phone number of `new`, which has just been verified. Inserts `new` if there is no such user.
pub async fn find_or_insert(conn: &impl ConnectionTrait, new: user::Model) -> Result<user::Model, DbErr> {
    let column = |column| Expr::col((user::Entity, column));
    let set_verified_at = OnConflict::column(Column::PhoneNumber)
        .value(Column::VerifiedAt, column(Column::VerifiedAt).if_null(new.verified_at))
        .to_owned();
    user::Entity::insert(new.into_active_model()).on_conflict(set_verified_at).exec_with_returning(conn).await
}

/// The password hash of the user with this phone number, or `default` if there is none. One statement does the same work in
/// both cases, so that its duration does not show whether the number is registered.
pub async fn password_hash_or(
    conn: &impl ConnectionTrait,
    phone_number: &str,
    default: &str,
) -> Result<String, DbErr> {
    let text = "SELECT coalesce((SELECT password_hash FROM users WHERE phone_number = $1), $2) AS hash";
    let row = conn.query_one_raw(sql(conn, text, [phone_number.into(), default.into()])).await?;
    row.map_or_else(|| Ok(default.to_owned()), |row| row.try_get("", "hash"))
}

/// The user, with its row locked until the transaction ends.
pub async fn locked(tx: &Transaction, id: UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).lock_exclusive().one(tx).await
}

/// The id of the user with this phone number.
pub async fn id_of(conn: &impl ConnectionTrait, phone_number: &str) -> Result<Option<UserId>, DbErr> {
    user::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::PhoneNumber.eq(phone_number))
        .into_tuple()
        .one(conn)
        .await
}

/// The user with this phone number, with its row locked until the transaction ends.
pub async fn locked_by_phone_number(
    tx: &Transaction,
    phone_number: &str,
) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find().filter(Column::PhoneNumber.eq(phone_number)).lock_exclusive().one(tx).await
}

pub async fn set_password(
    conn: &impl ConnectionTrait,
    user: user::Model,
    hash: &str,
    now: Timestamp,
) -> Result<user::Model, DbErr> {
    let id = user.id;
    let user = user::Model { password_hash: Some(hash.to_owned()), updated_at: now, ..user };
    user::Entity::update_many()
        .col_expr(Column::PasswordHash, Expr::value(hash))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(user)
}

/// Changes the fields that are given, or clears those given as `Some(None)`. Returns none if the account has been deleted.
pub async fn update_profile(
    conn: &impl ConnectionTrait,
    id: UserId,
    email: Option<Option<String>>,
    full_name: Option<Option<String>>,
    now: Timestamp,
) -> Result<Option<user::Model>, DbErr> {
    let mut update = user::Entity::update_many().col_expr(Column::UpdatedAt, Expr::value(now));
    if let Some(email) = email {
        update = update.col_expr(Column::Email, Expr::value(email));
    }
    if let Some(name) = full_name {
        update = update.col_expr(Column::FullName, Expr::value(name));
    }
    let update = update.filter(Column::Id.eq(id)).filter(Column::DeletedAt.is_null());
    Ok(update.exec_with_returning(conn).await?.into_iter().next())
}

/// Removes all personal data from a user, so that the phone number can be registered again. Returns false if the account was
/// deleted before.
pub async fn anonymize(conn: &impl ConnectionTrait, id: UserId, now: Timestamp) -> Result<bool, DbErr> {
    // The column is unique and not null, so it gets the end of the user's id, which is not a phone number.
    let placeholder = format!("x{}", &id.0.simple().to_string()[17..]);
    let anonymized = user::Entity::update_many()
        .col_expr(Column::PhoneNumber, Expr::value(placeholder))
        .col_expr(Column::Email, Expr::value(None::<String>))
        .col_expr(Column::FullName, Expr::value(None::<String>))
        .col_expr(Column::PasswordHash, Expr::value(None::<String>))
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::DeletedAt.is_null())
        .exec(conn)
        .await?;
    Ok(anonymized.rows_affected == 1)
}

/// Deletes the row of a deleted account and everything that belongs to it. Does nothing if there is no such row, or if the
/// account has not been deleted. Fails if a Stripe customer has been created meanwhile, which must be deleted first.
pub async fn delete_erased(tx: &Transaction, id: UserId) -> Result<(), DbErr> {
    let is_deleted = Column::DeletedAt.is_not_null();
    if user::Entity::find_by_id(id).filter(is_deleted).lock_exclusive().one(tx).await?.is_none() {
        return Ok(());
    }
    if super::subscriptions::of_user(tx, id).await?.is_some() {
        return Err(DbErr::Custom(
            "a Stripe customer was created while the account was being erased".to_owned(),
        ));
    }
    user::Entity::delete_by_id(id).exec(tx).await.map(drop)
}

/// The user, unless the account has been deleted.
pub async fn by_id(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<user::Model>, DbErr> {
    user::Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).one(conn).await
}

/// The version of the user's list of chatrooms, which every change of the list increments.
pub async fn chatrooms_version(conn: &impl ConnectionTrait, id: UserId) -> Result<i64, DbErr> {
    let version: Option<i64> = user::Entity::find_by_id(id)
        .select_only()
        .column(Column::ChatroomsVersion)
        .into_tuple()
        .one(conn)
        .await?;
    Ok(version.unwrap_or_default())
}

/// Increments the version of the user's list of chatrooms and returns it. Every transaction that changes the list or its order
/// calls this.
pub async fn increment_list_version(conn: &impl ConnectionTrait, id: UserId) -> Result<i64, DbErr> {
    let text = "UPDATE users SET chatrooms_version = chatrooms_version + 1 WHERE id = $1 RETURNING chatrooms_version";
    let row = conn.query_one_raw(sql(conn, text, [id.into()])).await?;
    row.map_or(Ok(0), |row| row.try_get("", "chatrooms_version"))
}
