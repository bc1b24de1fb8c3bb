//! Syncs stale billing states with Stripe, because Stripe's events about them may not have arrived.

use tokio_util::sync::CancellationToken;

use crate::{domain::billing::Billing, error::Result};

/// Shutdown cancels the run instead of waiting for it, because Stripe may be slow to respond.
pub(super) async fn run(billing: Billing, soft: CancellationToken) -> Result<()> {
    soft.run_until_cancelled(billing.sync_stale()).await.unwrap_or(Ok(()))
}
