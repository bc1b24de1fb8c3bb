//! The end of a process: asked to stop, it drains; past the grace, or asked twice, it is cut.
//!
//! ```text
//!  SIGTERM ──► soft: no new work ──► running work ends by itself ──► done
//!                    │ grace over, or a second signal
//!                    └──────────────► hard: running work is handed back ──► done
//! ```

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Shared by everything that has to end. Its clones end together.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// Take on nothing new, finish what runs.
    pub soft: CancellationToken,
    /// Let go of what still runs, in a state from which another can go on.
    pub hard: CancellationToken,
    /// Connections close: the work that their clients waited for has been done or handed back.
    pub closing: CancellationToken,
    /// Every task of the process that is not awaited in place.
    pub tasks: TaskTracker,
}

impl Lifecycle {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens for SIGTERM and SIGINT from now on. What comes back begins the soft end at the first, and the hard one at the
    /// grace's end or the second.
    ///
    /// # Errors
    /// The process cannot listen to signals.
    pub fn follow_signals(self, grace: Duration) -> std::io::Result<impl Future<Output = ()>> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(grace_secs = grace.as_secs(), "asked to stop: finishing what runs");
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
