//! Webhook events of Stripe.

use entity::{Timestamp, stripe_event};
use sea_orm::{DbBackend, QuerySelect, Value, entity::prelude::*};
use serde_json::json;
use stripe_event::{Column, Entity};

use super::{Db, commit, jobs, json_rows, sql};

/// The maximum number of a customer's events that one sync marks as processed.
const BATCH: u64 = 1000;

/// Stores those of these events that are not stored yet, each with its job: all of them or none. After an error, they may still
/// have been stored; repeating the call is safe.
pub async fn insert_new(db: &Db, events: &[stripe_event::Model], now: Timestamp) -> Result<(), DbErr> {
    let rows: Vec<_> = events
        .iter()
        .map(|event| json!({"id": event.id, "kind": event.kind, "customer_id": event.customer_id, "charge_id": event.charge_id}))
        .collect();
    let conn = db.write();
    let insert = format!(
        "INSERT INTO stripe_events (id, kind, customer_id, charge_id, received_at)
         SELECT row.value->>'id', row.value->>'kind', row.value->>'customer_id', row.value->>'charge_id', $2 FROM {rows} WHERE true
         ON CONFLICT (id) DO NOTHING RETURNING id",
        rows = json_rows(conn),
    );
    let values: [Value; 2] = [json!(rows).to_string().into(), now.into()];
    if conn.get_database_backend() == DbBackend::Postgres {
        // One statement for the events and their jobs, to save round trips.
        let jobs = jobs::insert_for_events_from(conn, "new", "new.id");
        return conn.execute_raw(sql(conn, format!("WITH new AS ({insert}) {jobs}"), values)).await.map(drop);
    }
    let tx = db.begin().await?;
    let new = tx.query_all_raw(sql(&tx, insert, values)).await?;
    let new = new.into_iter().map(|row| row.try_get("", "id")).collect::<Result<Vec<String>, _>>()?;
    jobs::insert_for_events(&tx, &new, now).await?;
    commit(tx).await
}

pub async fn by_id(conn: &impl ConnectionTrait, id: &str) -> Result<Option<stripe_event::Model>, DbErr> {
    Entity::find_by_id(id).one(conn).await
}

/// The ids of a customer's unprocessed events, at most [`BATCH`].
pub async fn unprocessed_of(conn: &impl ConnectionTrait, customer: &str) -> Result<Vec<String>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::CustomerId.eq(customer))
        .filter(Column::ProcessedAt.is_null())
        .limit(BATCH)
        .into_tuple()
        .all(conn)
        .await
}

/// The ids of unprocessed events that have no job: every attempt of their job has failed, or an operator dropped it.
pub async fn without_job(conn: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let has_no_job = "id NOT IN (SELECT stripe_event_id FROM jobs WHERE stripe_event_id IS NOT NULL)";
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::ProcessedAt.is_null())
        .filter(Expr::cust(has_no_job))
        .into_tuple()
        .all(conn)
        .await
}

/// Sets when events were processed. `None` marks them as unprocessed.
pub async fn set_processed_at(
    conn: &impl ConnectionTrait,
    ids: &[String],
    processed_at: Option<Timestamp>,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::ProcessedAt, Expr::value(processed_at))
        .filter(Column::Id.is_in(ids))
        .exec(conn)
        .await?;
    Ok(())
}

/// Deletes the events processed before `before`.
pub async fn delete_older(conn: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::ProcessedAt.lt(before)).exec(conn).await?.rows_affected)
}
