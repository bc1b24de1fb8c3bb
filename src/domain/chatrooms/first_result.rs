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

/// What a request with an idempotency key has done.
pub(in crate::domain) enum Idempotent<T> {
    /// It is the first request with its key, or has none.
    New(T),
    /// The first request has created the object with this id, and this one nothing.
    Repeated(Uuid),
}

/// What a key stands for: the same key with another request is a conflict.
pub(in crate::domain) struct Request<'a> {
    /// The name of the mutation, empty for `sendMessage`.
    pub(in crate::domain) operation: &'static str,
    /// The values of the input, of which only the last may vary in length.
    pub(in crate::domain) parts: &'a [&'a [u8]],
}

impl Request<'_> {
    /// The row of the key, if the request creates `result`.
    pub(in crate::domain) fn key(
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

/// Stores the key and returns none, or returns the result of the first request with it.
///
/// # Errors
/// [`Error::Conflict`] if the key was used for another request.
pub(in crate::domain) async fn first_result(
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
