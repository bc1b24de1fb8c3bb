//! A budget of bytes: a limited number that can be acquired and released.

use tokio::sync::watch;

/// The bytes of a budget. Waiters are notified when the number of used bytes changes.
pub(super) struct Budget {
    used: watch::Sender<usize>,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self { used: watch::Sender::new(0), limit }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn used(&self) -> usize {
        *self.used.borrow()
    }

    /// Acquires this number of bytes and returns true. If the limit would be exceeded, acquires nothing and returns false.
    pub(super) fn try_acquire(&self, bytes: usize) -> bool {
        self.used.send_if_modified(|used| {
            let fits = *used + bytes <= self.limit;
            *used += if fits { bytes } else { 0 };
            fits
        })
    }

    pub(super) fn release(&self, bytes: usize) {
        self.used.send_modify(|used| *used -= bytes);
    }

    /// Waits until at most this number of bytes is used.
    pub(super) async fn wait_until_at_most(&self, bytes: usize) {
        if self.used() <= bytes {
            return;
        }
        // This fails only if the sender is dropped, but `self` holds it.
        let _ = self.used.subscribe().wait_for(|used| *used <= bytes).await;
    }
}
