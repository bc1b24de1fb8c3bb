//! Graceful shutdown. On the first signal, the process finishes its running work. After the grace period, or on a second
//! signal, it aborts the remaining work.
//!
//! ```text
//!  SIGTERM ──► soft: no new work ──► running work finishes ──► exit
//!                    │ grace period over, or a second signal
//!                    └──────────────► hard: running jobs are released ──► exit
//! ```

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The cancellation tokens and tasks of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Cancelled when the process must accept no new work and finish the running work.
    pub soft: CancellationToken,
    /// Cancelled when the process must abort the running work, in a state from which another process can continue.
    pub hard: CancellationToken,
    /// Cancelled when connections must close, because the work that their clients waited for has finished or was released to
    /// another process.
    pub closing: CancellationToken,
    /// Tracks every spawned task of the process, so that shutdown can wait for them.
    pub tasks: TaskTracker,
}

impl Lifecycle {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Installs handlers for SIGTERM and SIGINT. The returned future cancels `soft` on the first signal, and `hard` after the
    /// grace period or on the second.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn follow_signals(self, grace: Duration) -> std::io::Result<impl Future<Output = ()>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(grace_secs = grace.as_secs(), "shutting down: finishing the running work");
            self.soft.cancel();
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = tokio::time::sleep(grace) => {}
            }
            self.hard.cancel();
        })
    }
}
