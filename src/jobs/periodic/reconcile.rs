//! Reconciling with Stripe the subscriptions about which no event has arrived for too long.

use tokio_util::sync::CancellationToken;

use crate::{domain::billing::Billing, error::Result};

/// Stripe may be slow to respond: stopping the process does not wait for it.
pub(super) async fn run(billing: Billing, soft: CancellationToken) -> Result<()> {
    soft.run_until_cancelled(billing.sync_stale()).await.unwrap_or(Ok(()))
}
