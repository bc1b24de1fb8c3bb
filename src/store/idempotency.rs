//! Idempotency keys, with which a client can safely retry a mutation.

use entity::{Timestamp, idempotency_key};
use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

/// Stores the key and returns none, or returns the row that was stored before under the same key. On PostgreSQL this waits
/// for a concurrent transaction that has stored the same key.
pub async fn claim(
    conn: &impl ConnectionTrait,
    key: &idempotency_key::Model,
) -> Result<Option<idempotency_key::Model>, DbErr> {
    let inserted = idempotency_key::Entity::insert(key.clone().into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(conn)
        .await?;
    if inserted == 1 {
        return Ok(None);
    }
    idempotency_key::Entity::find_by_id((key.user_id, key.key.clone())).one(conn).await
}

/// Deletes the keys created before `before`.
pub async fn delete_older(conn: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let old = idempotency_key::Column::CreatedAt.lt(before);
    Ok(idempotency_key::Entity::delete_many().filter(old).exec(conn).await?.rows_affected)
}
