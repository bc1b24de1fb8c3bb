//! The open database.
//!
//! On SQLite, all writes share one connection. Transactions wait for that connection within the process and take the write
//! lock of the file when they begin, so that no client ever gets "database is locked". Readers have their own pool and see
//! the last commit. On PostgreSQL, readers and writers share one pool. PostgreSQL cancels a statement that takes too long,
//! and rolls back a transaction whose process hangs, which releases its locks.

use std::{fs::File, path::Path, sync::Arc};

use sea_orm::{ConnectionTrait, Database, DbErr};

use super::{ConnectionPool, Transaction, postgres::Server, sqlite, write_check::WriteCheck};
use crate::{
    config::{DatabaseSettings, DatabaseUrl},
    telemetry::metrics::{ConnectionCounts, Counter},
};

/// The open database. Clones share its connections.
#[derive(Clone)]
pub struct Db {
    read: ConnectionPool,
    write: ConnectionPool,
    pub(super) backend: Backend,
    pub(super) checks: Arc<WriteCheck>,
    /// The lock on the SQLite file, held until the process exits. None on PostgreSQL and after [`join`](Self::join).
    lock: Option<Arc<File>>,
}

#[derive(Clone)]
pub(super) enum Backend {
    Sqlite { file: Arc<Path> },
    Postgres(Arc<Server>),
}

impl Db {
    /// Connects, and creates a missing SQLite file.
    ///
    /// # Errors
    /// The database does not respond, or another process uses the SQLite file.
    pub async fn open(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let DatabaseUrl::Sqlite(file) = &settings.url else { return Self::join(settings).await };
        settings.create_data_directory()?;
        let lock = sqlite::lock(file)?;
        Ok(Self { lock: Some(Arc::new(lock)), ..Self::join(settings).await? })
    }

    /// Connects without locking the SQLite file, for a command that queues work for a server, which may be running.
    ///
    /// # Errors
    /// The database does not respond, or does not exist.
    pub async fn join(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let checks = Arc::new(WriteCheck::default());
        let connections = settings.database_connections.get();
        let (read, mut write, backend) = match &settings.url {
            DatabaseUrl::Sqlite(file) => {
                let write =
                    ConnectionPool::new(&sqlite::writer(file, checks.clone()).await?).with_group_commit();
                let read = ConnectionPool::new(&sqlite::readers(file, connections).await?);
                (read, write, Backend::Sqlite { file: file.as_path().into() })
            }
            DatabaseUrl::Postgres(url) => {
                let limit = settings.database_statement_timeout;
                let server = Server::probe(url, limit).await?;
                let options = server.limited(connections).acquire_timeout(limit).to_owned();
                let pool = ConnectionPool::new(&Database::connect(options).await?);
                (pool.clone(), pool, Backend::Postgres(Arc::new(server)))
            }
        };
        let reported_to = checks.clone();
        write.on_failure = Some(Arc::new(move || reported_to.report_failure()));
        Ok(Self { read, write, backend, checks, lock: None })
    }

    /// Whether this process holds the lock on the SQLite file, which ensures that no other server uses the database.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.lock.is_some()
    }

    /// For reading outside of a transaction. Each statement sees the last commit.
    #[must_use]
    pub fn read(&self) -> &ConnectionPool {
        &self.read
    }

    /// For a single statement that writes. Must not be used while the caller has a transaction open: on SQLite, the
    /// statement would wait for the only connection that writes, which the transaction holds.
    #[must_use]
    pub fn write(&self) -> &ConnectionPool {
        &self.write
    }

    /// Begins a transaction that will write. Dropping it rolls it back.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        let text = match self.backend {
            Backend::Sqlite { .. } => "BEGIN IMMEDIATE",
            Backend::Postgres(_) => "BEGIN",
        };
        self.write.observe_failure(Transaction::begin(&self.write, text).await)
    }

    /// Begins a read transaction, whose statements all see the same snapshot.
    pub async fn snapshot(&self) -> Result<Transaction, DbErr> {
        let text = match self.backend {
            // A SQLite transaction always reads one snapshot.
            Backend::Sqlite { .. } => "BEGIN",
            Backend::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        };
        Transaction::begin(&self.read, text).await
    }

    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.read.execute_unprepared("SELECT 1").await.map(drop)
    }

    /// Checks that writes are committed. Returns the result of the last check, or, after a failed write or an interval, writes a
    /// row to check again.
    pub async fn check_write(&self) -> Result<(), DbErr> {
        self.checks.run(&self.write).await
    }

    /// Copies SQLite's write-ahead log into its file. Does nothing on PostgreSQL.
    pub async fn checkpoint(&self) -> Result<(), DbErr> {
        match self.backend {
            Backend::Sqlite { .. } => sqlite::checkpoint(&self.write).await,
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Closes the connections; SQLite then copies its write-ahead log into its file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// The connections in use: of readers and of the writer on SQLite, of all on PostgreSQL.
    #[must_use]
    pub fn connection_counts(&self) -> Vec<ConnectionCounts> {
        match self.backend {
            Backend::Sqlite { .. } => vec![self.read.counts("read"), self.write.counts("write")],
            Backend::Postgres(_) => vec![self.write.counts("all")],
        }
    }

    /// Counts statements that fail from now on, on this handle and on clones made after this call.
    pub fn count_errors(&mut self, errors: &Counter) {
        self.read.errors = Some(errors.clone());
        self.write.errors = Some(errors.clone());
    }

    /// Calls `observe` with the text of every statement from now on, on this handle and on clones made after this call.
    pub fn on_statement(&mut self, observe: impl Fn(&str) + Send + Sync + 'static) {
        let observer: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(observe);
        self.read.observer = Some(observer.clone());
        self.write.observer = Some(observer);
    }
}
