//! Deletes expired rows.

use std::time::Duration;

use chrono::TimeDelta;

use crate::{
    domain::{auth::PROFILE_LIFETIME, chatrooms::Chatrooms},
    error::Result,
    store::{checkouts, idempotency, otps, sessions, shares, stripe_events, usage},
};

pub(super) const INTERVAL: Duration = Duration::from_mins(10);
/// A request that is repeated with its idempotency key after this time is executed as a new one.
const IDEMPOTENCY_KEY_LIFETIME: TimeDelta = TimeDelta::days(7);
/// Stripe repeats a failed delivery of an event for some days, and its API returns an event by its id for 30 days.
const STRIPE_EVENT_LIFETIME: TimeDelta = TimeDelta::days(30);
/// Longer than the usage history that users see, and longer than any month.
const USAGE_LIFETIME: TimeDelta = TimeDelta::days(62);
/// Longer than any user takes to return from a checkout.
const CHECKOUT_LIFETIME: TimeDelta = TimeDelta::days(90);

pub(super) async fn run(chatrooms: Chatrooms) -> Result<()> {
    let (db, now) = (&chatrooms.db, chatrooms.clock.now());
    // The row of a one-time password also holds a pending sign-up profile, which may be used after the password has expired.
    let otps = otps::delete_expired(db.write(), now - PROFILE_LIFETIME).await?;
    let sessions = sessions::delete_expired(db.write(), now).await?;
    let keys = idempotency::delete_older(db.write(), now - IDEMPOTENCY_KEY_LIFETIME).await?;
    let events = stripe_events::delete_older(db.write(), now - STRIPE_EVENT_LIFETIME).await?;
    let checkouts = checkouts::delete_ended(db.write(), now - CHECKOUT_LIFETIME).await?;
    let shares = shares::delete_expired(db.write(), now).await?;
    let usage = usage::delete_older(db.write(), (now - USAGE_LIFETIME).date_naive()).await?;
    let chatrooms = chatrooms.delete_expired_chatrooms().await?;
    tracing::debug!(
        otps,
        sessions,
        keys,
        events,
        checkouts,
        shares,
        usage,
        chatrooms,
        "expired rows deleted"
    );
    Ok(())
}
