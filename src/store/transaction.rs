//! Transactions that write: their commit, and retrying those that failed because of a conflict or a lost connection.

use std::{ops::Deref, sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError,
    Statement,
};

use super::{Db, write_check::WriteCheck};
use crate::{
    backoff::{Backoff, RetryPolicy},
    error::{Error, Result},
};

const RETRIES: RetryPolicy = RetryPolicy {
    backoff: Backoff::doubling(Duration::from_millis(20), Duration::from_secs(1)).with_factor(3),
    max_tries: Some(4),
};
/// PostgreSQL error codes (its manual, appendix A): serialization failure, deadlock, shutdown, crash, starting up.
const TRANSIENT: [&str; 5] = ["40001", "40P01", "57P01", "57P02", "57P03"];

/// A transaction that writes. Dropping it rolls it back; [`commit`] ends it.
pub struct Transaction {
    pub(super) inner: DatabaseTransaction,
    /// Is notified of a commit that failed.
    pub(super) checks: Arc<WriteCheck>,
}

impl Transaction {
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await
    }
}

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(text).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(statement).await
    }
}

/// Commits. After a connection is lost here, the result is unknown: [`Db::with_retry`] does not retry then.
pub async fn commit(tx: Transaction) -> Result<(), DbErr> {
    let Transaction { inner, checks } = tx;
    let committed = inner.commit().await.inspect_err(|_| checks.report_failure());
    committed.map_err(|cause| match is_transient(&cause) {
        Some(Transient::RolledBack) => cause,
        _ => DbErr::Custom(format!("the commit failed, but may have been stored: {cause}")),
    })
}

impl Db {
    /// Runs a transaction that ends with [`commit`], and retries it after a conflict with another transaction or a connection
    /// that was lost before the commit.
    ///
    /// # Errors
    /// Any other error of `work`, or its last one.
    pub async fn with_retry<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        let mut failures = 0;
        loop {
            let result = work().await;
            let Err(Error::Internal(cause)) = &result else { return result };
            if cause.downcast_ref().and_then(is_transient).is_none() {
                return result;
            }
            failures += 1;
            let Some(delay) = RETRIES.delay(failures) else { return result };
            tracing::info!(cause = format!("{cause:#}"), failures, "transaction retried");
            tokio::time::sleep(delay).await;
        }
    }
}

/// An error that a retry may avoid.
enum Transient {
    /// The database rolled the transaction back.
    RolledBack,
    /// The connection was lost.
    Disconnected,
}

/// The driver's error, if it is one.
pub(super) fn sqlx_error(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn is_transient(error: &DbErr) -> Option<Transient> {
    match sqlx_error(error)? {
        SqlxError::Io(_) => Some(Transient::Disconnected),
        SqlxError::Database(error) => {
            error.code().is_some_and(|code| TRANSIENT.contains(&&*code)).then_some(Transient::RolledBack)
        }
        _ => None,
    }
}
