//! Idempotency keys: a repeated request returns what the first one created.

use entity::{Timestamp, UserId, idempotency_key};
use ring::digest::{Context, SHA256};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::IdempotencyKey;
use crate::{
    error::{Error, Result},
    store::idempotency,
};

/// The result of a request that may have an idempotency key.
pub(in crate::domain) enum Idempotent<T> {
    /// The request is the first one with its key, or has no key.
    New(T),
    /// An earlier request with the same key has created the object with this id, so this request has created nothing.
    Repeated(Uuid),
}

/// The request for which a client uses a key. The same key with another request is a conflict.
pub(in crate::domain) struct Request<'a> {
    /// The name of the mutation, empty for `sendMessage`.
    pub(in crate::domain) operation: &'static str,
    /// The values of the input. Only the last may vary in length; otherwise different inputs could have the same fingerprint.
    pub(in crate::domain) parts: &'a [&'a [u8]],
}

impl Request<'_> {
    /// The row that stores the key. `result` is the id of the object that the request is about to create.
    pub(in crate::domain) fn key_row(
        &self,
        user: UserId,
        key: IdempotencyKey,
        result: Uuid,
        now: Timestamp,
    ) -> idempotency_key::Model {
        let mut digest = Context::new(&SHA256);
        digest.update(self.operation.as_bytes());
        self.parts.iter().for_each(|part| digest.update(part));
        let fingerprint = digest.finish().as_ref().to_vec();
        idempotency_key::Model {
            user_id: user,
            key: key.into(),
            fingerprint,
            result_id: result,
            created_at: now,
        }
    }
}

/// If no earlier request had this key, stores the key and returns none. Otherwise returns the id of the object that the earlier
/// request has created. A request without a key is treated as a first one.
///
/// # Errors
/// [`Error::Conflict`] if the key was used for another request.
pub(in crate::domain) async fn store_key_or_find_result(
    tx: &impl ConnectionTrait,
    key: Option<&idempotency_key::Model>,
) -> Result<Option<Uuid>> {
    let Some(key) = key else { return Ok(None) };
    let Some(first) = idempotency::claim(tx, key).await? else { return Ok(None) };
    if first.fingerprint != key.fingerprint {
        return Err(Error::Conflict(format!("idempotencyKey {} was used for another request.", first.key)));
    }
    Ok(Some(first.result_id))
}
