//! Checks whether writes reach the disk, by writing a row. A call writes only after a failed write or an interval, and
//! otherwise returns the last result.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbErr};
use tokio::{sync::Mutex, time::Instant};
use uuid::Uuid;

use super::{ConnectionPool, sql};

/// Between two checks while no write has failed.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The minimum between two checks.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes written after a failed write: as much as a long message takes with its indexes, so that a disk with only a few free
/// blocks counts as full.
const PADDING: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct WriteCheck {
    write_failed: AtomicBool,
    last: Mutex<Option<(Instant, Result<(), DbErr>)>>,
}

impl WriteCheck {
    /// Makes a new check due, at the earliest [`MIN_INTERVAL`] after the last one.
    pub(super) fn report_failure(&self) {
        self.write_failed.store(true, Ordering::Relaxed);
    }

    /// The result of the last check, or of a new one if it is due.
    pub(super) async fn run(&self, conn: &ConnectionPool) -> Result<(), DbErr> {
        let mut last = self.last.lock().await;
        let failed = self.write_failed.load(Ordering::Relaxed);
        if let Some((at, result)) = &*last {
            let wait = if failed { MIN_INTERVAL } else { CHECK_INTERVAL };
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

/// Commits a row with this many bytes, which a database cannot compress.
async fn write(conn: &ConnectionPool, bytes: usize) -> Result<(), DbErr> {
    let mut padding = String::with_capacity(bytes);
    while padding.len() < bytes {
        padding.push_str(&Uuid::new_v4().simple().to_string());
    }
    let text = "INSERT INTO write_checks (id, padding) VALUES (1, $1)
                ON CONFLICT (id) DO UPDATE SET padding = excluded.padding";
    conn.execute_raw(sql(conn, text, [padding.into()])).await.map(drop)
}
