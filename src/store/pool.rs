//! The connections of one pool, and statements on them.
//!
//! sqlx tests each connection that returns to its pool: with a round trip to the server, or to the thread of a SQLite
//! connection, in a task of its own. That doubles the cost of a short statement. So a connection stays here after a statement,
//! commit or explicit rollback that has succeeded, and the next statement takes the idle connection that left sqlx's pool first.
//! So a server with little load uses few connections, on which its statements are prepared and planned. A connection whose last
//! use ended in any other way returns to sqlx, which rolls its transaction back, tests it and, if it is broken, closes it.
//!
//! ```text
//!             ┌── kept: statement, commit or rollback succeeded ──┐
//!             ▼                                                   │
//!  acquire ──► idle here ──┬──► statement, transaction ───────────┤
//!     └──────► sqlx's pool ┘                                      ▼
//!                 ▲────────────── an error, a cancelled caller, a dropped transaction, a connection kept for 10 minutes
//! ```

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_stream::try_stream;
use futures_util::{TryStreamExt, stream::BoxStream};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, SqlxError, Statement, StreamTrait,
    sqlx::{Connection as _, PgPool, SqlitePool},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    checkout::{Checkout, Connection, Executed, statement_span},
    group_commit::GroupCommit,
};
use crate::telemetry::metrics::{ConnectionCounts, Counter};

/// A PostgreSQL connection that was idle for longer is tested before its next use.
const UNTESTED_IDLE: Duration = Duration::from_secs(1);
/// A connection that does not respond to the test for this long is closed, such as one that a firewall has dropped.
const TEST_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that was taken from sqlx's pool longer ago returns to it after its next use, so that the lifetime that is set
/// there applies.
const MAX_KEPT: Duration = Duration::from_mins(10);

type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// A pool of connections. Clones share them.
#[derive(Clone)]
pub struct ConnectionPool {
    shared: Arc<Shared>,
    /// Runs the statements that are outside of a transaction, in groups. Streams do not use it, and neither do unprepared
    /// statements, because some of them, such as a checkpoint, cannot run in a transaction. None for a pool that commits each
    /// statement separately.
    group: Option<GroupCommit>,
    /// Called with the text of each statement that may have parameters.
    pub(super) observer: Option<Observer>,
    /// Called after each statement that failed.
    pub(super) on_failure: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Counts statements that failed.
    pub(super) errors: Option<Counter>,
}

pub(super) struct Shared {
    source: Source,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

/// sqlx's pool.
enum Source {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

struct Idle {
    connection: Connection,
    /// When the connection was taken from sqlx's pool.
    taken_at: Instant,
    unused_since: Instant,
}

impl ConnectionPool {
    /// The pool of a sea-orm connection.
    pub(super) fn new(connection: &DatabaseConnection) -> Self {
        let source = match connection.get_database_backend() {
            DbBackend::Sqlite => Source::Sqlite(connection.get_sqlite_connection_pool().clone()),
            _ => Source::Postgres(connection.get_postgres_connection_pool().clone()),
        };
        let connections = source.max_connections();
        let shared =
            Shared { source, permits: Arc::new(Semaphore::new(connections)), idle: Mutex::default() };
        Self { shared: Arc::new(shared), group: None, observer: None, on_failure: None, errors: None }
    }

    /// Makes this pool commit statements together that arrive at the same time. Only for SQLite's writer.
    pub(super) fn with_group_commit(self) -> Self {
        Self { group: Some(GroupCommit::start(self.clone())), ..self }
    }

    async fn execute_in_group(&self, group: &GroupCommit, statement: Statement) -> Result<Executed, DbErr> {
        self.observe_text(&statement.sql);
        let _span = statement_span("sqlite", &statement.sql);
        self.observe_failure(group.execute(statement).await)
    }

    /// How long a statement may wait for a connection.
    pub(super) fn acquire_timeout(&self) -> Duration {
        self.shared.source.acquire_timeout()
    }

    /// Checks out a connection: an idle one, or else one of sqlx's pool.
    pub(super) async fn acquire(&self) -> Result<Checkout, DbErr> {
        timeout(self.acquire_timeout(), self.acquire_without_timeout())
            .await
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?
    }

    async fn acquire_without_timeout(&self) -> Result<Checkout, DbErr> {
        let shared = &self.shared;
        let permit = shared.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))?;
        while let Some(Idle { connection, taken_at, unused_since }) = shared.pop_idle() {
            let connection = match connection {
                Connection::Postgres(mut connection) if unused_since.elapsed() >= UNTESTED_IDLE => {
                    if !matches!(timeout(TEST_TIMEOUT, connection.ping()).await, Ok(Ok(()))) {
                        // Closes the connection. sqlx's pool would test it once more first, and wait for the network.
                        drop(connection.detach());
                        continue;
                    }
                    Connection::Postgres(connection)
                }
                connection => connection,
            };
            return Ok(Checkout::new(connection, taken_at, shared, permit));
        }
        let connection = match &shared.source {
            Source::Sqlite(pool) => pool.acquire().await.map(Connection::Sqlite),
            Source::Postgres(pool) => pool.acquire().await.map(Connection::Postgres),
        };
        Ok(Checkout::new(connection.map_err(acquire_error)?, Instant::now(), shared, permit))
    }

    /// The number of connections in use and its maximum, for the pool of this name.
    pub(super) fn counts(&self, pool: &'static str) -> ConnectionCounts {
        let max = self.shared.source.max_connections();
        ConnectionCounts { pool, max, used: max.saturating_sub(self.shared.permits.available_permits()) }
    }

    /// Closes all connections, after the statements that are running have ended.
    pub(super) async fn close(&self) {
        self.shared.permits.close();
        self.shared.idle().clear();
        match &self.shared.source {
            Source::Sqlite(pool) => pool.close().await,
            Source::Postgres(pool) => pool.close().await,
        }
    }

    /// Calls the observer with the text of a statement, and reports a failure.
    pub(super) fn observe<T>(&self, statement: &Statement, result: Result<T, DbErr>) -> Result<T, DbErr> {
        self.observe_text(&statement.sql);
        self.observe_failure(result)
    }

    pub(super) fn observe_text(&self, text: &str) {
        if let Some(observer) = &self.observer {
            observer(text);
        }
    }

    /// Reports the failure of a statement, and returns the result unchanged.
    pub(super) fn observe_failure<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if result.is_err() {
            if let Some(on_failure) = &self.on_failure {
                on_failure();
            }
            if let Some(errors) = &self.errors {
                errors.increment();
            }
        }
        result
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for the next statement, unless the pool is closed or the connection was taken from sqlx's pool longer
    /// than [`MAX_KEPT`] ago. A connection that is not kept returns to sqlx's pool when it is dropped.
    pub(super) fn keep(&self, connection: Connection, taken_at: Instant) {
        let mut idle = self.idle();
        if !self.permits.is_closed() && taken_at.elapsed() < MAX_KEPT {
            idle.push(Idle { connection, taken_at, unused_since: Instant::now() });
        }
    }

    fn pop_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        let (oldest, _) = idle.iter().enumerate().min_by_key(|(_, idle)| idle.taken_at)?;
        Some(idle.swap_remove(oldest))
    }
}

impl Source {
    fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres(_) => DbBackend::Postgres,
        }
    }

    fn max_connections(&self) -> usize {
        let count = match self {
            Self::Sqlite(pool) => pool.options().get_max_connections(),
            Self::Postgres(pool) => pool.options().get_max_connections(),
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    fn acquire_timeout(&self) -> Duration {
        match self {
            Self::Sqlite(pool) => pool.options().get_acquire_timeout(),
            Self::Postgres(pool) => pool.options().get_acquire_timeout(),
        }
    }
}

fn acquire_error(error: SqlxError) -> DbErr {
    match error {
        SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for ConnectionPool {
    fn get_database_backend(&self) -> DbBackend {
        self.shared.source.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        if let Some(group) = &self.group {
            return Ok(self.execute_in_group(group, statement).await?.result);
        }
        let mut checkout = self.acquire().await?;
        let executed = self.observe(&statement, checkout.execute(&statement).await)?;
        checkout.keep();
        Ok(executed)
    }

    async fn execute_unprepared(&self, text: &str) -> Result<ExecResult, DbErr> {
        let mut checkout = self.acquire().await?;
        let executed = self.observe_failure(checkout.execute_text(text).await)?;
        checkout.keep();
        Ok(executed)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        if let Some(group) = &self.group {
            return Ok(self.execute_in_group(group, statement).await?.rows.into_iter().next());
        }
        let mut checkout = self.acquire().await?;
        let row = self.observe(&statement, checkout.query_one(&statement).await)?;
        checkout.keep();
        Ok(row)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if let Some(group) = &self.group {
            return Ok(self.execute_in_group(group, statement).await?.rows);
        }
        let mut checkout = self.acquire().await?;
        let rows = self.observe(&statement, checkout.query_all(&statement).await)?;
        checkout.keep();
        Ok(rows)
    }
}

impl StreamTrait for ConnectionPool {
    type Stream<'a> = BoxStream<'a, Result<QueryResult, DbErr>>;

    fn get_database_backend(&self) -> DbBackend {
        self.shared.source.backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
        Box::pin(async move {
            let mut checkout = self.acquire().await?;
            self.observe_text(&statement.sql);
            let rows: Self::Stream<'a> = Box::pin(try_stream! {
                {
                    let mut rows = checkout.stream(&statement);
                    while let Some(row) = self.observe_failure(rows.try_next().await)? {
                        yield row;
                    }
                }
                checkout.keep();
            });
            Ok(rows)
        })
    }
}
