//! Copying a SQLite database while a server uses it.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, bail};
use sea_orm::{ConnectionTrait, Statement};

use super::{Db, connect::Backend, sqlite};

/// The permissions of the copy, which holds what users wrote.
const OWNER_ONLY: u32 = 0o600;

impl Db {
    /// Copies the database as of the last commit into a new file, checks the copy, and returns its size in bytes. Writers do not
    /// wait for the copy.
    ///
    /// # Errors
    /// The file exists or cannot be written, the copy is damaged, or the database is not SQLite.
    pub async fn back_up(&self, file: &Path) -> anyhow::Result<u64> {
        let Backend::Sqlite { .. } = &self.backend else { bail!("only a SQLite database can be copied") };
        let path = file.display();
        let created = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(file);
        drop(created.with_context(|| format!("cannot create {path}"))?);
        let copied = self.copy_into(file).await;
        if copied.is_err() {
            let _ = fs::remove_file(file);
        }
        copied.with_context(|| format!("cannot back up into {path}"))
    }

    async fn copy_into(&self, file: &Path) -> anyhow::Result<u64> {
        let path = file.to_str().context("the path is not UTF-8")?.to_owned();
        // Copies one snapshot of the database, whose pages are written in order and without gaps
        // (https://sqlite.org/lang_vacuum.html).
        let copy = Statement::from_sql_and_values(
            self.read().get_database_backend(),
            "VACUUM INTO $1",
            [path.into()],
        );
        self.read().execute_raw(copy).await?;
        let written = File::open(file)?;
        written.sync_all()?;
        if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        let readers = sqlite::readers(file, 1).await?;
        for check in ["PRAGMA integrity_check", "SELECT \"table\" FROM pragma_foreign_key_check"] {
            let statement = Statement::from_string(readers.get_database_backend(), check);
            for row in readers.query_all_raw(statement).await? {
                let found: String = row.try_get_by_index(0)?;
                if found != "ok" {
                    bail!("the copy is damaged: {found}");
                }
            }
        }
        readers.close().await?;
        Ok(written.metadata()?.len())
    }
}
