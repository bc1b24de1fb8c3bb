//! Where the rows are.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Clone, clap::Args)]
pub struct DatabaseSettings {
    /// The database: a SQLite file, made when missing, or postgres://…
    #[arg(
        long = "database-url",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://data/pollux.db"
    )]
    pub url: String,

    /// Connections for reading (SQLite), or in all (PostgreSQL)
    #[arg(long, env = "DATABASE_CONNECTIONS", hide_env_values = true, default_value = "16")]
    pub database_connections: NonZeroU32,

    /// How long a statement may wait for a connection and then run, each, in seconds (PostgreSQL)
    #[arg(
        long,
        env = "DATABASE_STATEMENT_TIMEOUT",
        hide_env_values = true,
        default_value = "10",
        value_parser = super::some_seconds
    )]
    pub database_statement_timeout: Duration,
}

/// A PostgreSQL URL holds a password.
impl std::fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("database_connections", &self.database_connections)
            .finish_non_exhaustive()
    }
}

impl DatabaseSettings {
    /// Whether the rows are in PostgreSQL, which any number of processes can share.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:") || self.url.starts_with("postgresql:")
    }

    /// The SQLite file's path; none for PostgreSQL.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<&Path> {
        let rest = self.url.strip_prefix("sqlite:")?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        Some(Path::new(path.split('?').next().unwrap_or(path)))
    }

    /// Where files that belong to this installation are kept.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        match self.sqlite_file().and_then(Path::parent) {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => PathBuf::from("data"),
        }
    }
}
