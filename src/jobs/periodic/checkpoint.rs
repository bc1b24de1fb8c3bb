//! Copies SQLite's write-ahead log into the database file, so that a backup of that file alone misses only the last changes. Does
//! nothing on PostgreSQL.

use std::time::Duration;

use crate::{error::Result, store::Db};

pub(super) const INTERVAL: Duration = Duration::from_secs(30);

pub(super) async fn run(db: Db) -> Result<()> {
    Ok(db.checkpoint().await?)
}
