//! The current time. All code reads it from a [`Clock`] that is passed in, so that a test can move it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// The system clock, or a stopped one that a test advances.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Microseconds since the epoch, if the clock is stopped.
    stopped_at: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system clock.
    #[must_use]
    pub fn system() -> Self {
        Self { stopped_at: None }
    }

    /// A clock that shows `time` until [`advance`](Self::advance) moves it. Its clones move with it.
    #[must_use]
    pub fn stopped(time: DateTime<Utc>) -> Self {
        Self { stopped_at: Some(Arc::new(AtomicI64::new(time.timestamp_micros()))) }
    }

    /// The current time, truncated to microseconds, PostgreSQL's resolution, so that a stored value is equal to the original.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.stopped_at {
            Some(stopped_at) => stopped_at.load(Ordering::SeqCst),
            None =>
            {
                #[expect(clippy::disallowed_methods, reason = "the only code that reads the system clock")]
                Utc::now().timestamp_micros()
            }
        };
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// Moves a stopped clock forward; the system clock is not affected.
    pub fn advance(&self, by: TimeDelta) {
        if let Some(stopped_at) = &self.stopped_at {
            stopped_at.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        }
    }
}
