//! Locks a PostgreSQL database for a process without Redis, because a second process would not see the signals, the live
//! text and the rate limits in the memory of the first.
//!
//! The lock belongs to a transaction that stays open. A lock of the session would not work: a pooler in transaction mode could
//! give the session, and with it the lock, to another client. The transaction has read nothing, so it does not delay vacuum.

use std::time::Duration;

use anyhow::{Context, bail};
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, Statement, TransactionTrait,
};
use tokio::time::{Instant, sleep};

use super::{AdvisoryLock, Db, connect::Backend};
use crate::lifecycle::Lifecycle;

/// How long to wait until the process that this one replaces has exited.
const MAX_WAIT: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_millis(500);
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// Held until it is dropped or its connection breaks.
struct ProcessLock {
    tx: DatabaseTransaction,
    _pool: DatabaseConnection,
}

impl Db {
    /// Makes this the only process without Redis on a PostgreSQL database, until `life` closes. If another process takes
    /// the lock while the database is unavailable, this process begins to shut down. Does nothing on SQLite.
    ///
    /// # Errors
    /// Another process uses the database, or it does not respond.
    pub async fn hold_process_lock(&self, life: &Lifecycle) -> anyhow::Result<()> {
        if let Backend::Sqlite { .. } = self.backend {
            return Ok(());
        }
        let lock = self.take_process_lock().await?;
        let (db, life) = (self.clone(), life.clone());
        life.tasks.clone().spawn(async move {
            let closing = life.closing.clone();
            closing.run_until_cancelled(db.keep_process_lock(lock, &life)).await;
        });
        Ok(())
    }

    /// Acquires the lock again whenever its connection breaks. Begins the shutdown if another process has taken the lock.
    async fn keep_process_lock(self, mut lock: ProcessLock, life: &Lifecycle) {
        loop {
            let error = lock.wait_until_lost().await;
            tracing::warn!(%error, "process lock on the database lost; acquiring it again");
            lock = loop {
                match self.take_process_lock().await {
                    Ok(lock) => break lock,
                    Err(error) if error.is::<InUse>() => {
                        tracing::error!(%error, "shutting down: process lock not acquired");
                        life.soft.cancel();
                        return;
                    }
                    Err(error) => tracing::debug!(error = format!("{error:#}"), "process lock not acquired"),
                }
                sleep(RETRY_AFTER).await;
            };
        }
    }

    /// Takes the lock. Waits up to [`MAX_WAIT`] for another process to release it.
    async fn take_process_lock(&self) -> anyhow::Result<ProcessLock> {
        let Backend::Postgres(server) = &self.backend else { bail!("a SQLite file has its own lock") };
        let pool = Database::connect(server.unlimited(1)).await?;
        let deadline = Instant::now() + MAX_WAIT;
        let mut is_logged = false;
        loop {
            let tx = pool.begin().await.context("cannot lock the database")?;
            tx.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
            let take = format!("SELECT pg_try_advisory_xact_lock({}) AS taken", AdvisoryLock::Process as i64);
            let take = Statement::from_string(tx.get_database_backend(), take);
            let row = tx.query_one_raw(take).await?.context("the database returned no row")?;
            if row.try_get("", "taken")? {
                return Ok(ProcessLock { tx, _pool: pool });
            }
            tx.rollback().await?;
            if Instant::now() + RETRY_AFTER >= deadline {
                bail!(InUse);
            }
            if !std::mem::replace(&mut is_logged, true) {
                tracing::warn!("another process uses this database without Redis: waiting for it to exit");
            }
            sleep(RETRY_AFTER).await;
        }
    }
}

impl ProcessLock {
    /// Waits until the lock is lost, and returns the error of its connection.
    async fn wait_until_lost(&self) -> DbErr {
        loop {
            sleep(CHECK_EVERY).await;
            if let Err(error) = self.tx.execute_unprepared("SELECT 1").await {
                return error;
            }
        }
    }
}

/// Another process holds the lock.
#[derive(Debug, thiserror::Error)]
#[error(
    "another `pollux` process uses this PostgreSQL database without Redis, and the two would not see each other's signals \
     and limits: stop the other one, or set REDIS_URL and JWT_SECRET for both"
)]
struct InUse;
