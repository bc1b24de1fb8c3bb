//! Asking Stripe what it should have told and has not.

use tokio_util::sync::CancellationToken;

use crate::domain::billing::Billing;

pub(super) async fn run(billing: Billing, soft: CancellationToken) {
    while soft.run_until_cancelled(tokio::time::sleep(billing.look_every)).await.is_some() {
        // Stripe may take its time, and whoever stops does not wait for it.
        if let Some(Err(error)) = soft.run_until_cancelled(billing.ask_about_the_silent()).await {
            tracing::warn!(?error, "those of whom nothing was heard could not be found");
        }
    }
}
