//! The database: connections, transactions, and queries by feature. It contains no rules of the product.
//!
//! A finder that checks ownership states this in its name: `owned_by(user, id)`. Unless stated otherwise, a statement runs on
//! SQLite and on PostgreSQL; both accept `$1` as a placeholder.

pub mod admin;
mod advisory_lock;
pub mod attempts;
mod backup;
pub mod blocked_users;
pub mod branches;
pub mod chatrooms;
mod checkout;
pub mod checkouts;
mod connect;
mod group_commit;
pub mod idempotency;
pub mod jobs;
pub mod messages;
mod migrate;
pub mod otps;
pub mod page;
mod pool;
mod postgres;
mod process_lock;
pub mod queue;
pub mod replies;
pub mod search;
mod search_candidates;
pub mod sending;
pub mod sessions;
pub mod shares;
mod sqlite;
pub mod stripe_events;
pub mod subscriptions;
mod transaction;
pub mod usage;
pub mod users;
mod write_check;

pub use advisory_lock::AdvisoryLock;
pub use connect::Db;
pub use migrate::IncompatibleSchema;
pub use pool::ConnectionPool;
pub use sea_orm::DbErr;
pub use transaction::{Transaction, commit};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// A statement with its values, for the database of `conn`.
fn sql(
    conn: &impl ConnectionTrait,
    text: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// The objects of the JSON array `$1`, each as `row.value`. This is SQL for a `FROM` clause.
fn json_rows(conn: &impl ConnectionTrait) -> &'static str {
    match conn.get_database_backend() {
        DbBackend::Sqlite => "json_each($1) AS row",
        _ => "json_array_elements($1::json) AS row(value)",
    }
}

/// The placeholders of `count` values for an `IN (…)` clause: `$from, $from+1, …`.
fn placeholders(from: usize, count: usize) -> String {
    (from..from + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
