//! Forgetting what has expired.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{auth::PROFILE_LIFETIME, chat::Chat},
    store::{Db, DbErr, checkouts, idempotency, otps, sessions, stripe_events},
};

const EVERY: Duration = Duration::from_mins(10);
/// How far SQLite's file may be behind its log.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// A client that sends again later than this sends anew.
const IDEMPOTENCY_KEYS_LIVE: TimeDelta = TimeDelta::days(7);
/// Stripe sends an event again for some days, and knows it for thirty.
const STRIPE_EVENTS_LIVE: TimeDelta = TimeDelta::days(30);

/// Long after anybody comes back from one.
const CHECKOUTS_LIVE: TimeDelta = TimeDelta::days(90);

/// Keeps SQLite's file close to its log, which is in nobody's backup who copies the file alone.
pub(super) async fn checkpoint(db: Db, soft: CancellationToken) {
    while soft.run_until_cancelled(tokio::time::sleep(CHECKPOINT_EVERY)).await.is_some() {
        if let Err(error) = db.checkpoint().await {
            tracing::warn!(%error, "the database's log was not copied into its file");
        }
    }
}

pub(super) async fn run(chat: Chat, soft: CancellationToken) {
    while soft.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Err(error) = forget_expired(&chat).await {
            tracing::warn!(%error, "housekeeping failed");
        }
    }
}

async fn forget_expired(chat: &Chat) -> Result<(), DbErr> {
    let now = chat.clock.now();
    let otps = otps::delete_expired(chat.db.write(), now - PROFILE_LIFETIME).await?;
    let sessions = sessions::delete_expired(chat.db.write(), now).await?;
    let keys = idempotency::delete_older(chat.db.write(), now - IDEMPOTENCY_KEYS_LIVE).await?;
    let events = stripe_events::delete_older(chat.db.write(), now - STRIPE_EVENTS_LIVE).await?;
    let checkouts = checkouts::delete_ended(chat.db.write(), now - CHECKOUTS_LIVE).await?;
    tracing::debug!(otps, sessions, keys, events, checkouts, "forgot what had expired");
    Ok(())
}
