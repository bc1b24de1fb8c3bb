//! Transactions, their commit, and the retry of transactions that failed because of a conflict or a lost connection.

use std::{pin::Pin, time::Duration};

use async_stream::try_stream;
use futures_util::{TryStreamExt, stream::BoxStream};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement, StreamTrait,
};
use tokio::sync::Mutex;

use super::{Db, checkout::Checkout, pool::ConnectionPool};
use crate::{
    backoff::{Backoff, RetryPolicy},
    error::{Error, Result},
};

const RETRIES: RetryPolicy = RetryPolicy {
    backoff: Backoff::doubling(Duration::from_millis(20), Duration::from_secs(1)).with_factor(3),
    max_tries: Some(4),
};
/// PostgreSQL's error codes (appendix A of its manual) of a serialization failure, a deadlock, a shutdown, a crash and a server
/// that is starting.
const TRANSIENT: [&str; 5] = ["40001", "40P01", "57P01", "57P02", "57P03"];

/// A transaction. [`commit`] stores its changes; dropping it rolls it back.
pub struct Transaction {
    pool: ConnectionPool,
    /// None once the transaction has ended.
    checkout: Mutex<Option<Checkout>>,
}

impl Transaction {
    pub(super) async fn begin(pool: &ConnectionPool, text: &'static str) -> Result<Self, DbErr> {
        let mut checkout = pool.acquire().await?;
        checkout.begin(text).await?;
        Ok(Self { pool: pool.clone(), checkout: Mutex::new(Some(checkout)) })
    }

    pub async fn rollback(mut self) -> Result<(), DbErr> {
        let checkout = self.checkout.get_mut();
        open_checkout(checkout)?.rollback().await?;
        keep_connection(checkout);
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(checkout) = self.checkout.get_mut() {
            checkout.start_rollback();
        }
    }
}

/// The connection of a transaction, or an error if the transaction has ended.
fn open_checkout(checkout: &mut Option<Checkout>) -> Result<&mut Checkout, DbErr> {
    checkout.as_mut().ok_or_else(|| DbErr::Custom("the transaction has ended".to_owned()))
}

/// Marks a transaction as ended after its commit or rollback has succeeded, and keeps its connection for the next statement.
fn keep_connection(checkout: &mut Option<Checkout>) {
    if let Some(checkout) = checkout.take() {
        checkout.keep();
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(&self.pool)
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut checkout = self.checkout.lock().await;
        self.pool.observe(&statement, open_checkout(&mut checkout)?.execute(&statement).await)
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        let mut checkout = self.checkout.lock().await;
        self.pool.observe_failure(open_checkout(&mut checkout)?.execute_text(text).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut checkout = self.checkout.lock().await;
        self.pool.observe(&statement, open_checkout(&mut checkout)?.query_one(&statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut checkout = self.checkout.lock().await;
        self.pool.observe(&statement, open_checkout(&mut checkout)?.query_all(&statement).await)
    }
}

impl StreamTrait for Transaction {
    type Stream<'a> = BoxStream<'a, Result<QueryResult, DbErr>>;

    fn get_database_backend(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(&self.pool)
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
        Box::pin(async move {
            let mut checkout = self.checkout.lock().await;
            self.pool.observe_text(&statement.sql);
            let rows: Self::Stream<'a> = Box::pin(try_stream! {
                let mut rows = open_checkout(&mut checkout)?.stream(&statement);
                while let Some(row) = self.pool.observe_failure(rows.try_next().await)? {
                    yield row;
                }
            });
            Ok(rows)
        })
    }
}

/// Commits a transaction. If the connection is lost during the commit, the changes may or may not be stored. [`Db::with_retry`]
/// does not retry after the error that is returned in this case.
pub async fn commit(mut tx: Transaction) -> Result<(), DbErr> {
    let checkout = tx.checkout.get_mut();
    let committed = open_checkout(checkout)?.commit().await;
    if committed.is_ok() {
        keep_connection(checkout);
    }
    tx.pool.observe_failure(committed).map_err(|cause| match transient_kind(&cause) {
        Some(Transient::RolledBack) => cause,
        _ => DbErr::Custom(format!("the commit failed, but the changes may have been stored: {cause}")),
    })
}

impl Db {
    /// Runs `work`: a transaction that ends with [`commit`], or a single statement. Retries it after a conflict with another
    /// transaction or a lost connection, but not if the connection was lost during [`commit`]. A single statement may have been
    /// committed before its connection was lost, so it must be safe to repeat.
    ///
    /// # Errors
    /// The error of `work`, if it has another cause or every retry has failed.
    pub async fn with_retry<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        let mut failures = 0;
        loop {
            let result = work().await;
            let Err(Error::Internal(cause)) = &result else { return result };
            if cause.downcast_ref().and_then(transient_kind).is_none() {
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

fn transient_kind(error: &DbErr) -> Option<Transient> {
    match sqlx_error(error)? {
        SqlxError::Io(_) => Some(Transient::Disconnected),
        SqlxError::Database(error) => {
            error.code().is_some_and(|code| TRANSIENT.contains(&&*code)).then_some(Transient::RolledBack)
        }
        _ => None,
    }
}
