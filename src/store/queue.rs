//! The state of the job queue, for operators.

use entity::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::sql;
use crate::telemetry::metrics::QueueState;

/// The number of jobs of each kind and state.
pub async fn state(conn: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<QueueState>, DbErr> {
    let text = "SELECT kind,
                       sum(CASE WHEN leased_until > $1 THEN 1 ELSE 0 END) AS claimed,
                       sum(CASE WHEN leased_until > $1 THEN 0 WHEN run_at <= $1 THEN 1 ELSE 0 END) AS due,
                       sum(CASE WHEN leased_until > $1 THEN 0 WHEN run_at > $1 THEN 1 ELSE 0 END) AS scheduled,
                       min(CASE WHEN leased_until > $1 THEN NULL WHEN run_at <= $1 THEN run_at END) AS oldest_due
                FROM jobs GROUP BY kind ORDER BY kind";
    let rows = conn.query_all_raw(sql(conn, text, [now.into()])).await?;
    rows.iter().map(|row| read_state(row, now)).collect()
}

fn read_state(row: &QueryResult, now: Timestamp) -> Result<QueueState, DbErr> {
    let oldest: Option<Timestamp> = row.try_get("", "oldest_due")?;
    Ok(QueueState {
        kind: row.try_get("", "kind")?,
        due: row.try_get("", "due")?,
        scheduled: row.try_get("", "scheduled")?,
        claimed: row.try_get("", "claimed")?,
        oldest_due_secs: oldest.map_or(0, |oldest| age_secs(oldest, now)),
    })
}

/// The age in seconds of the oldest Stripe event that is not processed; 0 if there is none.
pub async fn oldest_unprocessed_event_secs(
    conn: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<i64, DbErr> {
    let text = "SELECT min(received_at) AS oldest FROM stripe_events WHERE processed_at IS NULL";
    let row = conn.query_one_raw(sql(conn, text, [])).await?;
    let oldest: Option<Timestamp> = row.map_or(Ok(None), |row| row.try_get("", "oldest"))?;
    Ok(oldest.map_or(0, |oldest| age_secs(oldest, now)))
}

fn age_secs(since: Timestamp, now: Timestamp) -> i64 {
    now.signed_duration_since(since).num_seconds().max(0)
}
