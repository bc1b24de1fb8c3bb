//! A budget of bytes.

use tokio::sync::watch;

/// A limited number of bytes that can be acquired and released.
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

    /// Acquires all bytes, or none if they exceed the limit.
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

    pub(super) async fn wait_until_at_most(&self, bytes: usize) {
        // This fails only if the sender is dropped, but `self` holds it.
        let _ = self.used.subscribe().wait_for(|used| *used <= bytes).await;
    }
}
