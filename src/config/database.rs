//! Settings of the database.

use std::{
    ffi::OsStr,
    fs::DirBuilder,
    io,
    num::NonZeroU32,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::percent_decode_str;

#[derive(Clone, Debug, clap::Args)]
pub struct DatabaseSettings {
    /// Database: a SQLite file, created if missing, or postgres://user:password@host/name
    #[arg(
        long = "database-url",
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://data/pollux.db",
        value_parser = DatabaseUrl::parse
    )]
    pub url: DatabaseUrl,

    /// Maximum connections: for reading (SQLite) or in total (PostgreSQL)
    #[arg(
        long,
        env = "DATABASE_CONNECTIONS",
        hide_env_values = true,
        default_value = "16",
        value_parser = super::number::<NonZeroU32>(1..=10_000)
    )]
    pub database_connections: NonZeroU32,

    /// Timeout in seconds for acquiring a connection, and for running a statement (PostgreSQL)
    #[arg(
        long,
        env = "DATABASE_STATEMENT_TIMEOUT",
        hide_env_values = true,
        default_value = "10",
        value_parser = super::seconds(1..=3600)
    )]
    pub database_statement_timeout: Duration,
}

/// A parsed database URL.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// The path of the file.
    Sqlite(PathBuf),
    /// The URL as configured. It may contain a password.
    Postgres(String),
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(file) => f.debug_tuple("Sqlite").field(file).finish(),
            Self::Postgres(_) => f.write_str("Postgres"),
        }
    }
}

impl DatabaseUrl {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let Some(rest) = text.strip_prefix("sqlite:") else {
            return Err("must begin with sqlite: or postgres:".to_owned());
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let path = path.split('?').next().unwrap_or(path);
        if path.is_empty() || path == ":memory:" {
            return Err("must name a file, as in sqlite://data/pollux.db; a database in memory is not \
                        supported"
                .to_owned());
        }
        let bytes: Vec<u8> = percent_decode_str(path).collect();
        if bytes.contains(&0) {
            return Err("must not contain %00".to_owned());
        }
        Ok(Self::Sqlite(OsStr::from_bytes(&bytes).into()))
    }
}

impl DatabaseSettings {
    /// Whether the database is PostgreSQL, which any number of processes can share.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.url, DatabaseUrl::Postgres(_))
    }

    /// Creates the directory for the files of this installation if it is missing, accessible only to its owner, and returns
    /// its path.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn create_data_directory(&self) -> io::Result<PathBuf> {
        let directory = match &self.url {
            DatabaseUrl::Sqlite(file) => file.parent().unwrap_or(Path::new("")),
            DatabaseUrl::Postgres(_) => Path::new("data"),
        };
        if directory.as_os_str().is_empty() {
            return Ok(PathBuf::from("."));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot create the directory {}: {error}", directory.display()),
            )
        })?;
        Ok(directory.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_url_names_one_file_percent_decoded() {
        for (url, file) in [
            ("sqlite://data/pollux.db", "data/pollux.db"),
            ("sqlite:pollux.db", "pollux.db"),
            ("sqlite:///var/lib/my%20data/pollux.db?mode=rwc", "/var/lib/my data/pollux.db"),
            ("sqlite://100%25.db", "100%.db"),
        ] {
            let DatabaseUrl::Sqlite(parsed) = DatabaseUrl::parse(url).unwrap() else { panic!("{url}") };
            assert_eq!(parsed, Path::new(file), "{url}");
        }
    }

    #[test]
    fn a_url_that_names_no_database_is_rejected() {
        for url in [
            "mysql://x",
            "sqlite:",
            "sqlite::memory:",
            "sqlite://?mode=rwc",
            "data/pollux.db",
            "sqlite://a%00b",
        ] {
            assert!(DatabaseUrl::parse(url).is_err(), "{url}");
        }
    }
}
