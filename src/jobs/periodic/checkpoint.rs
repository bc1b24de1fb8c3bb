//! Copying SQLite's write-ahead log into its file, so that a backup of the file alone misses little.

use std::time::Duration;

use crate::{error::Result, store::Db};

pub(super) const INTERVAL: Duration = Duration::from_secs(30);

pub(super) async fn run(db: Db) -> Result<()> {
    Ok(db.checkpoint().await?)
}
