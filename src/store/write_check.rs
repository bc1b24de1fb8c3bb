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

/// The time between two checks while no write has failed.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The minimum time between two checks.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// How many bytes a check writes after a failed write: as many as a long message takes with its indexes, so that a disk with only
/// a few free blocks counts as full.
const PADDING_BYTES: usize = 256 * 1024;

#[derive(Default)]
pub(super) struct WriteCheck {
    /// Whether a write has failed since the last check.
    has_write_failed: AtomicBool,
    /// When the last check ran, and its result.
    last: Mutex<Option<(Instant, Result<(), DbErr>)>>,
}

impl WriteCheck {
    /// Makes a new check due, at the earliest [`MIN_INTERVAL`] after the last one.
    pub(super) fn report_failure(&self) {
        self.has_write_failed.store(true, Ordering::Relaxed);
    }

    /// The result of the last check, or of a new one if it is due.
    pub(super) async fn run(&self, conn: &ConnectionPool) -> Result<(), DbErr> {
        let mut last = self.last.lock().await;
        let has_write_failed = self.has_write_failed.load(Ordering::Relaxed);
        if let Some((at, result)) = &*last {
            let wait = if has_write_failed { MIN_INTERVAL } else { CHECK_INTERVAL };
            if at.elapsed() < wait {
                return result.clone();
            }
        }
        self.has_write_failed.store(false, Ordering::Relaxed);
        let result = write(conn, if has_write_failed { PADDING_BYTES } else { 0 }).await;
        if result.is_err() {
            self.report_failure();
        }
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

/// Commits a row with this many bytes. They are random, so that the database cannot compress them.
async fn write(conn: &ConnectionPool, bytes: usize) -> Result<(), DbErr> {
    let mut padding = String::with_capacity(bytes);
    while padding.len() < bytes {
        padding.push_str(&Uuid::new_v4().simple().to_string());
    }
    let text = "INSERT INTO write_checks (id, padding) VALUES (1, $1)
                ON CONFLICT (id) DO UPDATE SET padding = excluded.padding";
    conn.execute_raw(sql(conn, text, [padding.into()])).await.map(drop)
}
