//! The job queue. A claim increments the attempt of the job and sets its lease. Every write under the claim carries the
//! attempt, and has no effect after another worker has claimed the job.

use entity::{JobId, MessageId, Timestamp, UserId, job};
use sea_orm::{
    DbBackend, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, UpdateMany, entity::prelude::*,
};
use serde_json::json;

use super::{AdvisoryLock, Db, commit, json_rows, sql};
use crate::telemetry::traces::{self, TRACE_PARENT};
use job::{Column, Entity};

/// Inserts a job. While traces are on, a job without a payload carries the current trace.
pub async fn insert(conn: &impl ConnectionTrait, mut job: job::Model) -> Result<(), DbErr> {
    if job.payload.is_none() {
        job.payload = traces::current().map(|current| json!({ TRACE_PARENT: current.to_string() }));
    }
    Entity::insert(job.into_active_model()).exec_without_returning(conn).await?;
    Ok(())
}

/// A job of this kind that is due now and refers to no user and no other row.
#[must_use]
pub fn new(kind: &'static str, now: Timestamp) -> job::Model {
    job::Model {
        id: JobId::generate(),
        kind: kind.to_owned(),
        user_id: None,
        chatroom_id: None,
        message_id: None,
        stripe_event_id: None,
        otp_id: None,
        position: 0,
        run_at: now,
        attempt: 0,
        failures: 0,
        leased_until: None,
        stop_requested: false,
        payload: None,
        created_at: now,
    }
}

/// Queues jobs for Stripe events, in one statement.
pub async fn insert_for_events(
    conn: &impl ConnectionTrait,
    events: &[String],
    now: Timestamp,
) -> Result<(), DbErr> {
    let rows: Vec<_> = events.iter().map(|event| json!({ "event": event })).collect();
    let insert = insert_for_events_from(conn, json_rows(conn), "row.value->>'event'");
    conn.execute_raw(sql(conn, insert, [json!(rows).to_string().into(), now.into()])).await.map(drop)
}

/// The statement that queues a job for each row of `source`, due at `$2`. `event` is the SQL expression for the id of a row's
/// Stripe event.
pub(super) fn insert_for_events_from(conn: &impl ConnectionTrait, source: &str, event: &str) -> String {
    let id = match conn.get_database_backend() {
        DbBackend::Sqlite => "randomblob(16)",
        _ => "gen_random_uuid()",
    };
    format!(
        "INSERT INTO jobs (id, kind, stripe_event_id, position, run_at, attempt, failures, stop_requested, created_at)
         SELECT {id}, 'stripe_event', {event}, 0, $2, 0, 0, false, $2 FROM {source}"
    )
}

/// Deletes the jobs of events, including running ones.
pub async fn delete_for_events(conn: &impl ConnectionTrait, events: &[String]) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::StripeEventId.is_in(events)).exec(conn).await.map(drop)
}

/// The maximum number of concurrent jobs of one kind that belong to no user. Limits the concurrent calls to a provider, and
/// how much of a worker's concurrency a slow provider can occupy.
const SYSTEM_CAP: u32 = 8;

/// The limits of a claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimTerms {
    pub now: Timestamp,
    pub leased_until: Timestamp,
    /// The maximum number of jobs to claim.
    pub limit: usize,
    /// The maximum number of concurrent jobs of one kind for a user without Pro.
    pub basic_cap: u32,
    /// The same for a user with Pro.
    pub pro_cap: u32,
}

/// Of the jobs that wait, a claim first considers only those that have been due for the longest time: the first of these numbers
/// that is at least four times its limit. If it finds too few there, it considers the next number, and at last all jobs. The
/// number is a literal in the statement, because PostgreSQL would otherwise plan for a tenth of all jobs.
const WINDOWS: [usize; 3] = [16, 256, 4096];

/// Claims due jobs that are not claimed or whose lease has expired. Users take turns: the first job of every user is claimed
/// before the second job of any user, and running jobs count as earlier ones. Of one user and kind, no more jobs run at once than
/// the cap allows. Of a chatroom's jobs, only the first can be claimed.
///
/// Claims are serialized, because two concurrent claims would not see each other's jobs and would together exceed the caps.
pub async fn claim(db: &Db, terms: ClaimTerms) -> Result<Vec<job::Model>, DbErr> {
    if db.write().get_database_backend() == DbBackend::Sqlite {
        return claim_serialized(db.write(), terms).await;
    }
    // The claim must not be the statement that acquires the lock: its snapshot must be taken while the lock is held.
    let tx = db.begin().await?;
    tx.execute_unprepared(&AdvisoryLock::Claims.wait()).await?;
    let claimed = claim_serialized(&tx, terms).await?;
    commit(tx).await?;
    Ok(claimed)
}

/// Claims among the jobs of a window first. Most claims find enough jobs there, so that their cost does not depend on how many
/// jobs are due. The others then claim the rest in larger windows, and at last among all due jobs.
async fn claim_serialized(conn: &impl ConnectionTrait, terms: ClaimTerms) -> Result<Vec<job::Model>, DbErr> {
    let mut claimed = Vec::new();
    for window in WINDOWS.into_iter().filter(|window| *window >= 4 * terms.limit) {
        let limit = terms.limit - claimed.len();
        claimed.extend(claim_among(conn, ClaimTerms { limit, ..terms }, Some(window)).await?);
        if claimed.len() == terms.limit || !has_more_due(conn, terms.now, window).await? {
            return Ok(claimed);
        }
    }
    let limit = terms.limit - claimed.len();
    claimed.extend(claim_among(conn, ClaimTerms { limit, ..terms }, None).await?);
    Ok(claimed)
}

/// Whether more jobs are due than the window contains.
async fn has_more_due(conn: &impl ConnectionTrait, now: Timestamp, window: usize) -> Result<bool, DbErr> {
    let text =
        format!("SELECT 1 FROM jobs WHERE leased_until IS NULL AND run_at <= $1 LIMIT 1 OFFSET {window}");
    Ok(conn.query_one_raw(sql(conn, text, [now.into()])).await?.is_some())
}

/// Claims jobs among the `window` waiting jobs that have been due for the longest time, or among all due jobs; in both cases also
/// among jobs whose lease has expired. If more jobs are due than the window contains, claims of each user and kind only the first
/// job, and only if none is running: a job outside of the window may be the first of its user, and must be claimed before the
/// second job of any user.
///
/// The nil UUID, `$3`, stands for the owner of jobs that belong to no user, because nulls are not equal in a join.
async fn claim_among(
    conn: &impl ConnectionTrait,
    terms: ClaimTerms,
    window: Option<usize>,
) -> Result<Vec<job::Model>, DbErr> {
    // With an offset, PostgreSQL looks up the earlier job of each job in the window. It might otherwise hash all jobs.
    let (due, is_fair, look_up) = match window {
        Some(window) => (
            format!(
                "(SELECT * FROM jobs WHERE leased_until IS NULL AND run_at <= $1 ORDER BY run_at LIMIT {window})"
            ),
            format!(
                "(turn = 1 OR NOT EXISTS (SELECT 1 FROM jobs WHERE leased_until IS NULL AND run_at <= $1
                                          LIMIT 1 OFFSET {window}))"
            ),
            "LIMIT 1 OFFSET 0",
        ),
        None => (
            "(SELECT * FROM jobs WHERE leased_until IS NULL AND run_at <= $1)".to_owned(),
            "true".to_owned(),
            "",
        ),
    };
    let text = format!(
        "UPDATE jobs SET attempt = attempt + 1, leased_until = $2
         WHERE id IN (SELECT id FROM jobs WHERE (leased_until IS NULL OR leased_until <= $1) AND id IN (
             SELECT id FROM (
                 SELECT due.id,
                        row_number() OVER (PARTITION BY due.user_id, due.kind ORDER BY due.run_at, due.id)
                          + coalesce(running.jobs, 0) AS turn,
                        CASE WHEN due.user_id IS NULL THEN {SYSTEM_CAP}
                             WHEN subscriptions.pro_until > $1 THEN {pro_cap} ELSE {basic_cap} END AS cap
                 FROM (SELECT * FROM {due} AS waiting
                       UNION ALL SELECT * FROM jobs WHERE leased_until <= $1 AND run_at <= $1) AS due
                 LEFT JOIN (SELECT coalesce(user_id, $3) AS owner, kind, count(*) AS jobs
                            FROM jobs WHERE leased_until > $1 GROUP BY 1, 2) AS running
                        ON running.owner = coalesce(due.user_id, $3) AND running.kind = due.kind
                 LEFT JOIN subscriptions ON subscriptions.user_id = due.user_id
                 WHERE NOT EXISTS (SELECT 1 FROM jobs AS earlier
                                   WHERE earlier.chatroom_id = due.chatroom_id AND earlier.position < due.position {look_up})
             ) AS numbered
             WHERE turn <= cap AND {is_fair}
             ORDER BY turn, id LIMIT $4
         ) {lock}) RETURNING *",
        lock = match conn.get_database_backend() {
            // SQLite has a single writer, so no other transaction can hold a lock on a job.
            DbBackend::Sqlite => "",
            _ => "FOR UPDATE SKIP LOCKED",
        },
        pro_cap = terms.pro_cap,
        basic_cap = terms.basic_cap,
    );
    let limit = i64::try_from(terms.limit).unwrap_or(i64::MAX);
    let values = [terms.now.into(), terms.leased_until.into(), Uuid::nil().into(), limit.into()];
    let statement = sql(conn, text, values);
    job::Model::find_by_statement(statement).all(conn).await
}

/// The statement with which a worker that finishes the job of a reply claims the next job of the same chatroom. It claims that
/// job only if it is a reply's job, too, and due, and if no older job of the user waits in another chatroom. The claimed job
/// takes the place of a running job of the same user and kind, so no cap is exceeded. The arguments are placeholders, a further
/// condition, and the columns to return.
///
/// The conditions refer to the row that the subquery has found by its chatroom, not to `jobs`: PostgreSQL might otherwise use
/// them to scan the index of all waiting jobs.
pub(super) fn claim_next(
    [job, user, chatroom, now, leased_until]: [&str; 5],
    condition: &str,
    returned: &str,
) -> String {
    format!(
        "UPDATE jobs SET attempt = jobs.attempt + 1, leased_until = {leased_until}
         FROM (SELECT id, attempt, message_id, leased_until, run_at FROM jobs
               WHERE chatroom_id = {chatroom} AND id <> {job} ORDER BY position LIMIT 1) AS first
         WHERE jobs.id = first.id AND jobs.attempt = first.attempt
           AND first.message_id IS NOT NULL AND first.leased_until IS NULL AND first.run_at <= {now} AND {condition}
           AND NOT EXISTS (SELECT 1 FROM {older} AS older
                           WHERE older.chatroom_id <> {chatroom} AND older.leased_until IS NULL AND older.run_at <= {now})
         RETURNING {returned}",
        older = jobs_of_user(&format!("user_id = {user} AND id < first.id")),
    )
}

/// A subquery for the jobs of one user. Because of its limit, PostgreSQL does not move the conditions of the outer query into it.
/// It might otherwise use them to scan the index of all waiting jobs, of which ended ones stay until the table is vacuumed.
pub(super) fn jobs_of_user(condition: &str) -> String {
    format!(
        "(SELECT chatroom_id, leased_until, run_at FROM jobs WHERE {condition} ORDER BY id LIMIT {})",
        i32::MAX
    )
}

/// A worker's claim on a job, which each of its writes carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: JobId,
    pub attempt: i32,
}

impl Claim {
    /// The claim by which a worker holds this job.
    #[must_use]
    pub fn of(job: &job::Model) -> Self {
        Self { job: job.id, attempt: job.attempt }
    }
}

/// An update of the job, which matches no row if the claim is lost.
fn update_claimed(claim: Claim) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(claim.job)).filter(Column::Attempt.eq(claim.attempt))
}

/// The claims on leased jobs for which a stop was requested.
pub async fn requested_stops(conn: &impl ConnectionTrait) -> Result<Vec<Claim>, DbErr> {
    let requested: Vec<(JobId, i32)> = Entity::find()
        .select_only()
        .column(Column::Id)
        .column(Column::Attempt)
        .filter(Column::LeasedUntil.is_not_null())
        .filter(Column::StopRequested.eq(true))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(requested.into_iter().map(|(job, attempt)| Claim { job, attempt }).collect())
}

/// Renews the lease, and returns whether a stop was requested. None if the claim is lost.
pub async fn heartbeat(
    conn: &impl ConnectionTrait,
    claim: Claim,
    leased_until: Timestamp,
) -> Result<Option<bool>, DbErr> {
    let renewed = update_claimed(claim)
        .col_expr(Column::LeasedUntil, Expr::value(leased_until))
        .filter(Column::LeasedUntil.is_not_null())
        .exec_with_returning(conn)
        .await?;
    Ok(renewed.into_iter().next().map(|job| job.stop_requested))
}

/// Returns the job to the queue, to be claimed at `run_at` at the earliest. `failures` is the new count of runs that ended in
/// an error. None if the claim is lost.
pub async fn release(
    conn: &impl ConnectionTrait,
    claim: Claim,
    run_at: Timestamp,
    failures: i32,
) -> Result<Option<job::Model>, DbErr> {
    let released = update_claimed(claim)
        .col_expr(Column::LeasedUntil, Expr::value(None::<Timestamp>))
        .col_expr(Column::RunAt, Expr::value(run_at))
        .col_expr(Column::Failures, Expr::value(failures))
        .exec_with_returning(conn)
        .await?;
    Ok(released.into_iter().next())
}

/// Deletes a job that is done. Returns false if the claim is lost.
pub async fn complete(conn: &impl ConnectionTrait, claim: Claim) -> Result<bool, DbErr> {
    let claimed = Column::Attempt.eq(claim.attempt);
    Ok(Entity::delete_by_id(claim.job).filter(claimed).exec(conn).await?.rows_affected == 1)
}

/// Requests that the job of a reply stops, and locks its row. Returns none if the reply has no job.
pub async fn request_stop(
    conn: &impl ConnectionTrait,
    reply: MessageId,
) -> Result<Option<job::Model>, DbErr> {
    let requested = Entity::update_many()
        .col_expr(Column::StopRequested, Expr::value(true))
        .filter(Column::MessageId.eq(reply))
        .exec_with_returning(conn)
        .await?;
    Ok(requested.into_iter().next())
}

/// Ends every lease. Only for a process that starts and is the only one on its database: then no process that held a lease still
/// runs.
pub async fn release_all(conn: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let released = Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::value(None::<Timestamp>))
        .filter(Column::LeasedUntil.is_not_null())
        .exec(conn)
        .await?;
    Ok(released.rows_affected)
}

/// The replies of these users that wait for a worker or are being written, in the order in which the replies of each user are
/// claimed.
pub async fn queue_of(
    conn: &impl ConnectionTrait,
    users: &[UserId],
) -> Result<Vec<(UserId, MessageId)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::UserId)
        .column(Column::MessageId)
        .filter(Column::UserId.is_in(users.iter().copied()))
        .filter(Column::MessageId.is_not_null())
        .order_by_asc(Column::RunAt)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(conn)
        .await
}
