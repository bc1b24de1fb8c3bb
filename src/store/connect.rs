//! Opening the database.
//!
//! SQLite has one writer: a pool of a single connection, whose transactions take the write lock at their first statement
//! and queue in the process rather than at the file, so that no client ever meets "database is locked". Readers have
//! their own pool and see the last commit. PostgreSQL has one pool for both; a statement that takes too long is cancelled,
//! and a transaction whose process stands still is undone, so that nobody waits for its locks.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::SqliteSynchronous,
};

use crate::config::DatabaseSettings;

/// The database, once opened. Clones share its connections.
#[derive(Clone)]
pub struct Db {
    read: DatabaseConnection,
    write: DatabaseConnection,
    /// Held while the process lives: a SQLite file belongs to one process.
    lock: Option<Arc<File>>,
    /// PostgreSQL's URL, for the migrations.
    url: Option<Arc<str>>,
}

/// How long a transaction may wait for its own process.
const IDLE_IN_TRANSACTION: &str = "5s";
/// The advisory lock that migrations are under.
const MIGRATING: i64 = 0x706f_6c6c_7578_0001;

impl Db {
    /// Connects, and makes the SQLite file where there is none.
    ///
    /// # Errors
    /// The database does not answer, or another process has the SQLite file.
    pub async fn open(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        let Some(file) = settings.sqlite_file() else { return Self::open_postgres(settings).await };
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let shown = file.display();
        let lock =
            File::create(file.with_extension("lock")).with_context(|| format!("cannot lock {shown}"))?;
        if lock.try_lock().is_err() {
            bail!("another process is using {shown}: stop it first, or give this one its own DATABASE_URL");
        }
        let db = Self::open_sqlite(file, settings.database_connections.get(), "rwc").await?;
        Ok(Self { lock: Some(Arc::new(lock)), ..db })
    }

    /// Connects for a word with whoever has the database: to write a row that is seen to there.
    ///
    /// # Errors
    /// The database does not answer, or there is none.
    pub async fn join(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        match settings.sqlite_file() {
            Some(file) => Self::open_sqlite(file, 1, "rw").await,
            None => Self::open_postgres(settings).await,
        }
    }

    async fn open_postgres(settings: &DatabaseSettings) -> anyhow::Result<Self> {
        if !settings.is_postgres() {
            bail!("DATABASE_URL must begin with sqlite: or postgres:");
        }
        let limit = settings.database_statement_timeout;
        let mut options = ConnectOptions::new(&settings.url);
        options.max_connections(settings.database_connections.get()).sqlx_logging(false);
        options.acquire_timeout(limit).map_sqlx_postgres_opts(move |postgres| {
            postgres.application_name("pollux").options([
                ("statement_timeout", format!("{}s", limit.as_secs())),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION.to_owned()),
            ])
        });
        let pool = Database::connect(options).await.context("cannot connect to PostgreSQL")?;
        Ok(Self { read: pool.clone(), write: pool, lock: None, url: Some(settings.url.as_str().into()) })
    }

    async fn open_sqlite(file: &Path, readers: u32, mode: &str) -> anyhow::Result<Self> {
        let cannot = || format!("cannot open {}", file.display());
        let write = Self::sqlite_pool(file, 1, mode).await.with_context(cannot)?;
        let read = Self::sqlite_pool(file, readers, "ro").await.with_context(cannot)?;
        Ok(Self { read, write, lock: None, url: None })
    }

    async fn sqlite_pool(file: &Path, connections: u32, mode: &str) -> Result<DatabaseConnection, DbErr> {
        let mut options = ConnectOptions::new(format!("sqlite://{}?mode={mode}", file.display()));
        let reads_only = mode == "ro";
        options.max_connections(connections).sqlx_logging(false).map_sqlx_sqlite_opts(move |sqlite| {
            // A second commit waits for the disk: what was accepted survives a power cut, too.
            let sqlite = sqlite.busy_timeout(Duration::from_secs(10)).synchronous(SqliteSynchronous::Full);
            let sqlite =
                sqlite.foreign_keys(true).pragma("cache_size", "-16000").pragma("temp_store", "memory");
            if reads_only {
                return sqlite;
            }
            // The log is folded into the file every 32 MiB, and not while a crowd waits for a commit.
            sqlite.pragma("journal_mode", "WAL").pragma("wal_autocheckpoint", "8000")
        });
        Database::connect(options).await
    }

    /// Whether no other process can work on this database.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.lock.is_some()
    }

    /// For reading outside a transaction: sees the last commit.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// For a single statement that writes. Inside a transaction use the transaction: SQLite's writer is taken.
    #[must_use]
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// Begins a transaction that will write. Dropping it undoes it.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.write.begin_with_options(options).await
    }

    /// Begins a transaction that reads, all of it from the same moment.
    pub async fn snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        let isolation_level = match self.read.get_database_backend() {
            // A SQLite transaction always reads from one moment.
            DbBackend::Sqlite => None,
            _ => Some(IsolationLevel::RepeatableRead),
        };
        self.read.begin_with_options(TransactionOptions { isolation_level, ..Default::default() }).await
    }

    /// Applies the migrations that are missing. Processes that start together take turns, and none of the limits on
    /// statements holds.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        let Some(url) = &self.url else { return Migrator::up(&self.write, None).await };
        let mut options = ConnectOptions::new(&**url);
        let alone = Database::connect(options.max_connections(1).sqlx_logging(false).to_owned()).await?;
        let tx = alone.begin().await?;
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATING})")).await?;
        Migrator::up(&tx, None).await?;
        tx.commit().await?;
        alone.close().await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.read.execute_unprepared("SELECT 1").await.map(drop)
    }

    /// Closes the connections; SQLite then folds its log into its file.
    pub async fn close(&self) {
        for pool in [&self.read, &self.write] {
            if let Err(error) = pool.clone().close().await {
                tracing::warn!(%error, "the database was not closed");
            }
        }
    }

    /// Calls `hear` with the text of every statement from now on, on this handle and clones made after.
    pub fn on_statement(&mut self, hear: impl Fn(&str) + Clone + Send + Sync + 'static) {
        let also = hear.clone();
        self.read.set_metric_callback(move |info| hear(&info.statement.sql));
        self.write.set_metric_callback(move |info| also(&info.statement.sql));
    }
}
