//! The advisory locks that processes take on a PostgreSQL database.

/// A lock that a transaction holds. The value is the key of the lock: "pollux" in ASCII, followed by a number.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub enum AdvisoryLock {
    /// Held while migrations are applied, so that processes that start together apply them only once.
    Migrations = 0x706f_6c6c_7578_0001,
    /// Held while jobs are claimed: two claims at the same time would not see each other's jobs, and together could exceed the
    /// limits of users.
    Claims = 0x706f_6c6c_7578_0002,
    /// Held by a transaction that a process without Redis keeps open until it exits, so that no second process without Redis uses
    /// the database.
    Process = 0x706f_6c6c_7578_0003,
}

impl AdvisoryLock {
    /// The statement that waits for this lock. The end of the transaction releases it.
    pub(super) fn wait(self) -> String {
        format!("SELECT pg_advisory_xact_lock({})", self as i64)
    }
}
