//! One-time passwords, which this module calls codes.

use entity::{
    OtpId, Timestamp,
    otp::{self, Purpose},
};
use sea_orm::{FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, entity::prelude::*};

use super::sql;

pub async fn insert(conn: &impl ConnectionTrait, otp: otp::Model) -> Result<(), DbErr> {
    otp::Entity::insert(otp.into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}

pub async fn by_id(conn: &impl ConnectionTrait, id: OtpId) -> Result<Option<otp::Model>, DbErr> {
    otp::Entity::find_by_id(id).one(conn).await
}

/// The newest code for this number and purpose. Only the newest code is accepted, unless it is used or expired.
pub async fn newest(
    conn: &impl ConnectionTrait,
    phone_number: &str,
    purpose: Purpose,
) -> Result<Option<OtpId>, DbErr> {
    otp::Entity::find()
        .select_only()
        .column(otp::Column::Id)
        .filter(otp::Column::PhoneNumber.eq(phone_number))
        .filter(otp::Column::Purpose.eq(purpose))
        .order_by_desc(otp::Column::CreatedAt)
        .order_by_desc(otp::Column::Id)
        .limit(1)
        .into_tuple()
        .one(conn)
        .await
}

/// Counts a try at the newest code for this number and purpose, before the caller compares it, and returns the code. None if
/// that code is used, has expired or has been tried `max_tries` times, or if there is no code.
pub async fn take_try(
    conn: &impl ConnectionTrait,
    phone_number: &str,
    purpose: Purpose,
    max_tries: i32,
    now: Timestamp,
) -> Result<Option<otp::Model>, DbErr> {
    let statement = sql(
        conn,
        "UPDATE otps SET tries = tries + 1
         WHERE id = (SELECT id FROM otps WHERE phone_number = $1 AND purpose = $4
                     ORDER BY created_at DESC, id DESC LIMIT 1)
           AND used_at IS NULL AND expires_at > $2 AND tries < $3
         RETURNING *",
        [phone_number.into(), now.into(), max_tries.into(), purpose.into()],
    );
    otp::Model::find_by_statement(statement).one(conn).await
}

/// Marks the code as used. Returns false if another call has marked it before.
pub async fn mark_used(conn: &impl ConnectionTrait, id: OtpId, now: Timestamp) -> Result<bool, DbErr> {
    let used = otp::Entity::update_many()
        .col_expr(otp::Column::UsedAt, Expr::value(now))
        .filter(otp::Column::Id.eq(id))
        .filter(otp::Column::UsedAt.is_null())
        .exec(conn)
        .await?;
    Ok(used.rows_affected == 1)
}

/// Removes the pending sign-up profile of a code, and returns it if the code was created after `since`. None if there is no
/// profile, such as after an earlier call.
pub async fn take_signup(
    conn: &impl ConnectionTrait,
    id: OtpId,
    since: Timestamp,
) -> Result<Option<String>, DbErr> {
    let recent = otp::Entity::find_by_id(id).filter(otp::Column::CreatedAt.gt(since));
    let signup = recent.one(conn).await?.and_then(|otp| otp.signup);
    otp::Entity::update_many()
        .col_expr(otp::Column::Signup, Expr::value(None::<String>))
        .filter(otp::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(signup)
}

/// Deletes the codes that expired before `before`, with their pending sign-up profiles.
pub async fn delete_expired(conn: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let deleted = otp::Entity::delete_many().filter(otp::Column::ExpiresAt.lt(before)).exec(conn).await?;
    Ok(deleted.rows_affected)
}
