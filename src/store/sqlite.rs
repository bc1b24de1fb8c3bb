//! Opens a SQLite file, with one connection that writes and several that read.
//!
//! On a full disk or after an I/O error, SQLite rolls a transaction back by itself. The ROLLBACK that sqlx then sends fails, so
//! sqlx still counts the transaction as open and would refuse every later `BEGIN IMMEDIATE` of [`Db::begin`](super::Db::begin).
//! Therefore a writing connection that returns to its pool while sqlx counts a transaction as open, or that cannot be rolled
//! back, is closed. The connection that replaces it commits as it is opened, so that opening it fails while the file cannot be
//! written.

use std::{
    fs::{File, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr,
    sqlx::{
        self, Connection,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
    },
};

use super::{ConnectionPool, transaction::sqlx_error, write_check::WriteCheck};

/// Marks the file in its header as a database of Pollux. Its bytes are "POLX".
const APPLICATION_ID: &str = "1347374168";
const OWNER_ONLY: u32 = 0o600;
/// The page cache of a connection, in KiB because the number is negative. That of a reader is small, because there are many
/// readers and the operating system caches the file, too.
const WRITER_CACHE: &str = "-16000";
const READER_CACHE: &str = "-2000";
/// The number of rows that a reader prefetches. It is small, because each row can hold half a megabyte.
const READ_AHEAD: usize = 4;

/// Takes the lock that lets only one process use the database, and creates the database file if it is missing, accessible to
/// its owner only. The lock is on a file beside it with the extension `lock`, which is returned; dropping it releases the lock.
pub(super) fn lock(file: &Path) -> anyhow::Result<File> {
    let file_path = file.display();
    let open =
        |path: &Path| OpenOptions::new().write(true).create(true).truncate(false).mode(OWNER_ONLY).open(path);
    let lock = open(&file.with_extension("lock")).with_context(|| format!("cannot lock {file_path}"))?;
    if lock.try_lock().is_err() {
        bail!("another process is using {file_path}: stop it first, or give this one its own DATABASE_URL");
    }
    // SQLite gives its other files the permissions of this one.
    let database = open(file).with_context(|| format!("cannot open {file_path}"))?;
    let permissions = database.metadata().map_or(OWNER_ONLY, |data| Permissions::mode(&data.permissions()));
    if permissions & 0o077 != 0 {
        tracing::warn!(
            "{file_path} is accessible to other users of this machine: run `chmod 600 {file_path}*`"
        );
    }
    Ok(lock)
}

/// Opens the connection that writes. A failed rollback is reported to `checks`.
pub(super) async fn writer(file: &Path, checks: Arc<WriteCheck>) -> anyhow::Result<DatabaseConnection> {
    let configure = |sqlite: SqliteConnectOptions| {
        // A periodic task copies the log into the file. A commit does so itself only if the log has grown to 32 MiB (8000
        // pages), because the commits of a burst would wait for the copy.
        let sqlite = sqlite.pragma("journal_mode", "WAL").pragma("wal_autocheckpoint", "8000");
        let sqlite = sqlite.pragma("cache_size", WRITER_CACHE);
        // This pragma commits, which fails if the file cannot be written. Opening alone does not fail then: SQLite opens
        // such a file as read-only.
        sqlite.pragma("application_id", APPLICATION_ID)
    };
    let discard_broken = move |pool: SqlitePoolOptions| {
        let checks = checks.clone();
        pool.after_release(move |connection, _| {
            let checks = checks.clone();
            Box::pin(async move {
                // Waits for a rollback that is still queued.
                connection.ping().await?;
                let mut is_clean = !connection.is_in_transaction();
                if is_clean {
                    // A text of several statements may have begun a transaction of which sqlx does not know. Therefore send
                    // BEGIN, which fails if there is one. In either case a transaction is open afterwards, which ROLLBACK must
                    // end.
                    let _ = sqlx::raw_sql("BEGIN").execute(&mut *connection).await;
                    is_clean = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.is_ok();
                }
                if !is_clean {
                    checks.report_failure();
                    tracing::warn!("failed to roll back a transaction: SQLite's writer is replaced");
                }
                Ok(is_clean)
            })
        })
    };
    pool(file, 1, configure, discard_broken).await
}

/// Opens the connections that read.
pub(super) async fn readers(file: &Path, connections: u32) -> anyhow::Result<DatabaseConnection> {
    let configure = |sqlite: SqliteConnectOptions| {
        sqlite.read_only(true).pragma("cache_size", READER_CACHE).row_buffer_size(READ_AHEAD)
    };
    pool(file, connections, configure, |pool| pool).await
}

async fn pool(
    file: &Path,
    connections: u32,
    configure: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
    configure_pool: impl Fn(SqlitePoolOptions) -> SqlitePoolOptions + Send + Sync + 'static,
) -> anyhow::Result<DatabaseConnection> {
    let path = file.to_owned();
    // The path is set below, because in a URL it would have to be encoded.
    let mut options = ConnectOptions::new("sqlite://file");
    options.max_connections(connections).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_sqlite_pool_opts(configure_pool).map_sqlx_sqlite_opts(move |sqlite| {
        // A commit waits until the data is on the disk, so that it survives a power cut.
        let sqlite = sqlite.filename(&path).synchronous(SqliteSynchronous::Full);
        let sqlite = sqlite.busy_timeout(Duration::from_secs(10)).foreign_keys(true);
        configure(sqlite.pragma("temp_store", "memory"))
    });
    Database::connect(options).await.map_err(|error| explain(&error, file))
}

/// Copies the write-ahead log into the database file, as far as this is possible without waiting for readers or writers.
pub(super) async fn checkpoint(writer: &ConnectionPool) -> Result<(), DbErr> {
    writer.execute_unprepared("PRAGMA wal_checkpoint(PASSIVE)").await.map(drop)
}

/// Adds to the error what the operator can do about it.
pub(super) fn explain(error: &DbErr, file: &Path) -> anyhow::Error {
    let advice = match primary_code(error) {
        // SQLITE_CORRUPT, SQLITE_NOTADB
        Some(11 | 26) => {
            "it is damaged or not a SQLite database: restore it from a backup, or move it away to start with an empty one"
        }
        // SQLITE_FULL
        Some(13) => "the disk is full: free some space",
        // SQLITE_IOERR
        Some(10) => "the disk fails to read or write",
        // SQLITE_READONLY
        Some(8) => "it cannot be written: mount its file system read-write, or let this user write it",
        // SQLITE_CANTOPEN
        Some(14) => "it cannot be opened: let this user read and write it and its directory",
        // SQLITE_BUSY, SQLITE_LOCKED
        Some(5 | 6) => "another program has locked it: end that first",
        _ => return anyhow!("cannot use {}: {error}", file.display()),
    };
    anyhow!("cannot use {}: {advice} ({error})", file.display())
}

/// SQLite's result code without its extension (<https://sqlite.org/rescode.html>).
fn primary_code(error: &DbErr) -> Option<u32> {
    let code: u32 = sqlx_error(error)?.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Joins several statements into one text, for one round trip to the writer, which runs it in a transaction ([`GroupCommit`]).
/// All statements share the numbered parameters, and the rows of all of them are returned. With the condition `changes() = 1`, a
/// statement has an effect only if the last INSERT, UPDATE or DELETE before it has changed one row.
///
/// [`GroupCommit`]: super::group_commit::GroupCommit
pub(super) fn statements(texts: &[&str]) -> String {
    texts.join("; ")
}
