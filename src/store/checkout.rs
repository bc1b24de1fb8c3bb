//! A database connection that has been checked out of its pool, and statements on it. (Stripe checkouts are in `checkouts`.)

use std::{ops::DerefMut, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement,
    sea_query::Values,
    sqlx::{
        self, AssertSqlSafe, Database, Either, Executor, IntoArguments, Postgres, SqlStr, Sqlite,
        pool::PoolConnection, postgres::PgTransactionManager, query::Query, sqlite::SqliteTransactionManager,
    },
};
use sea_query_sqlx::SqlxValues;
use sqlx_core::transaction::TransactionManager;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::pool::Shared;
use crate::telemetry::traces::{self, Span, SpanKind};

/// A connection to either database.
pub(super) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A connection in use. It counts against the pool's limit until it is dropped.
pub(super) struct Checkout {
    connection: Connection,
    /// When the connection was taken from sqlx's pool.
    taken_at: Instant,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

/// The result of one or several statements.
pub(super) struct Executed {
    /// The result of the first statement.
    pub(super) result: ExecResult,
    /// The rows of all statements.
    pub(super) rows: Vec<QueryResult>,
}

/// Runs an expression with the connection of either database.
macro_rules! with_connection {
    ($connection:expr, $name:ident => $run:expr) => {
        match $connection {
            Connection::Sqlite(connection) => {
                let $name = connection.deref_mut();
                $run
            }
            Connection::Postgres(connection) => {
                let $name = connection.deref_mut();
                $run
            }
        }
    };
}

impl Checkout {
    pub(super) fn new(
        connection: Connection,
        taken_at: Instant,
        shared: &Arc<Shared>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { connection, taken_at, shared: shared.clone(), _permit: permit }
    }

    /// Keeps the connection for the next statement. Must not be called within a transaction.
    pub(super) fn keep(self) {
        // The permit is released only after this, so that the next caller that gets the permit finds the connection.
        self.shared.keep(self.connection, self.taken_at);
    }

    fn span(&self, text: &str) -> Span {
        let system = match self.connection {
            Connection::Sqlite(_) => "sqlite",
            Connection::Postgres(_) => "postgresql",
        };
        statement_span(system, text)
    }

    /// Runs a part of a transaction of SQLite's writer: a statement, or several that share their parameters. With `begins`,
    /// begins the transaction first; with `commits`, commits it afterwards.
    pub(super) async fn execute_part(
        &mut self,
        statement: &Statement,
        begins: bool,
        commits: bool,
    ) -> Result<Executed, DbErr> {
        let (before, after) =
            (if begins { "BEGIN IMMEDIATE; " } else { "" }, if commits { "; COMMIT" } else { "" });
        let text = format!("{before}{}{after}", statement.sql);
        with_connection!(&mut self.connection, c => {
            let mut items = c.fetch_many(sqlx::query_with(AssertSqlSafe(text), values(statement)));
            let (mut results, mut rows) = (Vec::new(), Vec::new());
            while let Some(item) = items.try_next().await.map_err(query_error)? {
                match item {
                    Either::Left(result) => results.push(result),
                    Either::Right(row) => rows.push(row.into()),
                }
            }
            // With `begins`, the first result is that of BEGIN.
            let result = results.into_iter().nth(usize::from(begins)).unwrap_or_default();
            Ok(Executed { result: result.into(), rows })
        })
    }

    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, DbErr> {
        let _span = self.span(&statement.sql);
        with_connection!(&mut self.connection, c => {
            query(statement).execute(c).await.map(Into::into).map_err(exec_error)
        })
    }

    /// Executes statements without parameters.
    pub(super) async fn execute_text(&mut self, text: &str) -> Result<ExecResult, DbErr> {
        let _span = self.span(text);
        with_connection!(&mut self.connection, c => {
            c.execute(AssertSqlSafe(text.to_owned())).await.map(Into::into).map_err(exec_error)
        })
    }

    pub(super) async fn query_one(&mut self, statement: &Statement) -> Result<Option<QueryResult>, DbErr> {
        let _span = self.span(&statement.sql);
        with_connection!(&mut self.connection, c => {
            query(statement).fetch_optional(c).await.map(|row| row.map(Into::into)).map_err(query_error)
        })
    }

    pub(super) async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        let _span = self.span(&statement.sql);
        with_connection!(&mut self.connection, c => {
            let rows = query(statement).fetch_all(c).await.map_err(query_error)?;
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }

    pub(super) fn stream<'a>(
        &'a mut self,
        statement: &'a Statement,
    ) -> BoxStream<'a, Result<QueryResult, DbErr>> {
        with_connection!(&mut self.connection, c => {
            query(statement).fetch(c).map_ok(Into::into).map_err(query_error).boxed()
        })
    }

    pub(super) async fn begin(&mut self, text: &'static str) -> Result<(), DbErr> {
        let text = Some(SqlStr::from_static(text));
        let mut opening = OpeningTransaction { connection: &mut self.connection, has_begun: false };
        match &mut *opening.connection {
            Connection::Sqlite(c) => SqliteTransactionManager::begin(c, text).await,
            Connection::Postgres(c) => PgTransactionManager::begin(c, text).await,
        }
        .map_err(query_error)?;
        opening.has_begun = true;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), DbErr> {
        match &mut self.connection {
            Connection::Sqlite(c) => SqliteTransactionManager::commit(c).await,
            Connection::Postgres(c) => PgTransactionManager::commit(c).await,
        }
        .map_err(query_error)
    }

    pub(super) async fn rollback(&mut self) -> Result<(), DbErr> {
        match &mut self.connection {
            Connection::Sqlite(c) => SqliteTransactionManager::rollback(c).await,
            Connection::Postgres(c) => PgTransactionManager::rollback(c).await,
        }
        .map_err(query_error)
    }

    /// Makes sqlx roll the transaction back when the connection returns to its pool.
    pub(super) fn start_rollback(&mut self) {
        match &mut self.connection {
            Connection::Sqlite(c) => SqliteTransactionManager::start_rollback(c),
            Connection::Postgres(c) => PgTransactionManager::start_rollback(c),
        }
    }
}

/// A transaction that is being opened. If the caller is cancelled before PostgreSQL has answered, sqlx does not know of the
/// transaction and would not roll it back. Therefore dropping this closes the connection. On SQLite, sqlx's worker thread rolls
/// back by itself.
struct OpeningTransaction<'a> {
    connection: &'a mut Connection,
    has_begun: bool,
}

impl Drop for OpeningTransaction<'_> {
    fn drop(&mut self) {
        if !self.has_begun
            && let Connection::Postgres(connection) = self.connection
        {
            connection.close_on_drop();
        }
    }
}

/// The trace span of a statement. It contains only the first word, because the rest of the statement may contain text of users.
pub(super) fn statement_span(system: &'static str, text: &str) -> Span {
    let mut span = traces::span("database", SpanKind::Client);
    if span.context().is_some() {
        span.set("db.system.name", system);
        span.set("db.operation.name", text.split_whitespace().next().unwrap_or_default());
    }
    span
}

fn query<DB: Database>(statement: &Statement) -> Query<'_, DB, SqlxValues>
where
    SqlxValues: IntoArguments<DB>,
{
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), values(statement))
}

fn values(statement: &Statement) -> SqlxValues {
    SqlxValues(statement.values.clone().unwrap_or(Values(Vec::new())))
}

fn exec_error(error: SqlxError) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query_error(error: SqlxError) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
