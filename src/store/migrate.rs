//! Applies database migrations.
//!
//! An older release may run on a newer schema, so that a deployment can be rolled back. Therefore the migrations of a
//! release only add to the schema, and do not change what the previous release reads or writes (expand). A later release
//! drops or renames columns, in a migration whose name ends in `_contract`. If a release finds such a migration in the
//! database but does not contain it, the release does not start.

use std::collections::HashSet;

use anyhow::{Context, bail};
use migration::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::{
    ConnectionTrait, Database, DatabaseTransaction, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};

use super::{AdvisoryLock, Db, connect::Backend, sqlite};

/// The schema belongs to a newer release and is incompatible with this one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database was migrated by a newer release of Pollux ({unknown}), and this one cannot work with its schema: start \
     the newer release, or restore a backup from before its migration"
)]
pub struct IncompatibleSchema {
    unknown: String,
}

impl Db {
    /// Applies the missing migrations in one transaction and returns their names. Concurrent processes run this function one
    /// after another. The statement timeout does not apply.
    ///
    /// # Errors
    /// The database fails, or [`IncompatibleSchema`].
    pub async fn migrate(&self) -> anyhow::Result<Vec<String>> {
        let failure = "failed to migrate the database";
        match &self.backend {
            Backend::Sqlite { file } => {
                let writer = sqlite::writer(file, self.checks.clone()).await.context(failure)?;
                let begin_immediate = TransactionOptions {
                    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                    ..Default::default()
                };
                let tx = writer.begin_with_options(begin_immediate).await;
                let tx = tx.map_err(|error| sqlite::explain(&error, file)).context(failure)?;
                let applied =
                    apply_missing(tx).await.map_err(|error| match error.downcast_ref::<DbErr>() {
                        Some(cause) => sqlite::explain(cause, file).context(failure),
                        None => error,
                    })?;
                writer.close().await?;
                Ok(applied)
            }
            Backend::Postgres(server) => {
                let unlimited = Database::connect(server.unlimited(1)).await.context(failure)?;
                let tx = unlimited.begin().await.context(failure)?;
                tx.execute_unprepared(&AdvisoryLock::Migrations.wait()).await.context(failure)?;
                let applied = apply_missing(tx).await?;
                unlimited.close().await?;
                Ok(applied)
            }
        }
    }
}

impl Db {
    /// The names of the migrations that the next start applies.
    ///
    /// # Errors
    /// The database fails, or [`IncompatibleSchema`].
    pub async fn pending_migrations(&self) -> anyhow::Result<Vec<String>> {
        let connection = match &self.backend {
            Backend::Sqlite { file } => sqlite::readers(file, 1).await?,
            Backend::Postgres(server) => Database::connect(server.limited(1)).await?,
        };
        let tx = connection.begin().await?;
        let pending = missing(&tx).await;
        tx.rollback().await?;
        connection.close().await?;
        pending
    }
}

/// The names of the migrations of this release that have not been applied. The list is empty if the schema is newer and
/// compatible.
async fn missing(tx: &DatabaseTransaction) -> anyhow::Result<Vec<String>> {
    let applied = applied(tx).await?;
    let known: Vec<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let unknown: Vec<&str> =
        applied.iter().map(String::as_str).filter(|name| !known.iter().any(|known| known == name)).collect();
    let missing: Vec<String> = known.iter().filter(|name| !applied.contains(*name)).cloned().collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        // A schema that also lacks migrations of this release is not simply newer, so its compatibility is unknown.
        if unknown.iter().any(|name| name.ends_with("_contract")) || !missing.is_empty() {
            bail!(IncompatibleSchema { unknown: names });
        }
        tracing::warn!(migrations = names, "the schema belongs to a newer, compatible release");
    }
    Ok(missing)
}

async fn apply_missing(tx: DatabaseTransaction) -> anyhow::Result<Vec<String>> {
    let missing = missing(&tx).await?;
    if !missing.is_empty() {
        Migrator::up(&tx, None).await?;
        tx.commit().await?;
    }
    Ok(missing)
}

/// The names of the migrations that have been applied.
async fn applied(tx: &DatabaseTransaction) -> Result<HashSet<String>, DbErr> {
    if !SchemaManager::new(tx).has_table("seaql_migrations").await? {
        return Ok(HashSet::new());
    }
    let names = Statement::from_string(tx.get_database_backend(), "SELECT version FROM seaql_migrations");
    tx.query_all_raw(names).await?.iter().map(|row| row.try_get("", "version")).collect()
}
