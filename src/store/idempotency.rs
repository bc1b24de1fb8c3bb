//! Keys by which a client can safely send the same thing twice.

use entity::{Timestamp, idempotency_key};
use sea_orm::{IntoActiveModel, entity::prelude::*, sea_query::OnConflict};

/// Stores the key, or says what is stored under it already. In PostgreSQL this waits for another transaction that has
/// stored the same key and not yet ended.
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

/// Forgets the keys made before this.
pub async fn delete_older(conn: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let old = idempotency_key::Column::CreatedAt.lt(before);
    Ok(idempotency_key::Entity::delete_many().filter(old).exec(conn).await?.rows_affected)
}
