//! Transactions that the database undid for no fault of theirs.

use std::time::Duration;

use sea_orm::{DatabaseTransaction, DbErr, RuntimeErr, SqlxError};

use super::Db;
use crate::error::{Error, Result};

const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// Of PostgreSQL (its manual, appendix A): serialization failure, deadlock, ended by an administrator, crashed, not yet up.
const PASSING: [&str; 5] = ["40001", "40P01", "57P01", "57P02", "57P03"];

/// Commits. A connection that breaks here leaves open whether it did, and so [`Db::again`] does not run it anew.
pub async fn commit(tx: DatabaseTransaction) -> Result<(), DbErr> {
    tx.commit().await.map_err(|cause| match is_passing(&cause) {
        Some(Passing::Refused) => cause,
        _ => DbErr::Custom(format!("the commit failed, and may have been stored all the same: {cause}")),
    })
}

impl Db {
    /// Runs a transaction that ends with [`commit`], and runs it anew if it was undone by another or by a connection that
    /// broke before its commit.
    ///
    /// # Errors
    /// What `work` fails with otherwise, or in the end.
    pub async fn again<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match work().await {
                Err(Error::Internal(cause)) if cause.downcast_ref().and_then(is_passing).is_some() => {
                    tracing::info!(cause = format!("{cause:#}"), "a transaction is run anew");
                }
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait *= 3;
        }
        work().await
    }
}

/// A fault that may be gone the next time.
enum Passing {
    /// The database says that nothing was done.
    Refused,
    /// The connection is gone.
    Broken,
}

/// The driver's error, where it is one.
pub(super) fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn is_passing(error: &DbErr) -> Option<Passing> {
    match sqlx_error(error)? {
        SqlxError::Io(_) => Some(Passing::Broken),
        SqlxError::Database(error) => {
            error.code().is_some_and(|code| PASSING.contains(&&*code)).then_some(Passing::Refused)
        }
        _ => None,
    }
}
