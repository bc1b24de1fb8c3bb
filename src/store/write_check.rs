//! Whether writes reach the disk: found out by writing a row, not on every question but after a failed write and from time
//! to time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use super::sql;

/// Between two checks, if no write has failed.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// Between two checks at least.
const CHECK_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// What is written after a failed write, in bytes: as much as a long message takes with its indexes, so that the last free
/// blocks of a full disk do not pass for space.
const PADDING: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct WriteCheck {
    write_failed: AtomicBool,
    last: Mutex<Option<(Instant, Result<(), DbErr>)>>,
}

impl WriteCheck {
    /// Has the next question answered by a write.
    pub(super) fn report_failure(&self) {
        self.write_failed.store(true, Ordering::Relaxed);
    }

    /// The result of the last write, or of one made now if that is due.
    pub(super) async fn run(&self, conn: &DatabaseConnection) -> Result<(), DbErr> {
        let mut last = self.last.lock().await;
        let failed = self.write_failed.load(Ordering::Relaxed);
        if let Some((at, result)) = &*last {
            let wait = if failed { CHECK_AT_MOST_EVERY } else { CHECK_EVERY };
            if at.elapsed() < wait {
                return result.clone();
            }
        }
        self.write_failed.store(false, Ordering::Relaxed);
        let result = write(conn, if failed { PADDING } else { 0 }).await;
        if result.is_err() {
            self.report_failure();
        }
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

/// Commits a row with so many bytes, which no database can compress away.
async fn write(conn: &DatabaseConnection, bytes: usize) -> Result<(), DbErr> {
    let mut padding = String::with_capacity(bytes);
    while padding.len() < bytes {
        padding.push_str(&Uuid::new_v4().simple().to_string());
    }
    let text = "INSERT INTO write_checks (id, padding) VALUES (1, $1)
                ON CONFLICT (id) DO UPDATE SET padding = excluded.padding";
    conn.execute_raw(sql(conn, text, [padding.into()])).await.map(drop)
}
