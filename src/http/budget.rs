//! A limited number of bytes.

use tokio::sync::watch;

/// A number of bytes that can be taken and given back.
pub(super) struct Budget {
    taken: watch::Sender<usize>,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { taken: watch::Sender::new(0), most }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// Takes all bytes, or none if they exceed the limit.
    pub(super) fn take(&self, bytes: usize) -> bool {
        self.taken.send_if_modified(|taken| {
            let fits = *taken + bytes <= self.most;
            *taken += if fits { bytes } else { 0 };
            fits
        })
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.taken.send_modify(|taken| *taken -= bytes);
    }

    pub(super) async fn falls_to(&self, bytes: usize) {
        // The sender is `self`, so it is not gone.
        let _ = self.taken.subscribe().wait_for(|taken| *taken <= bytes).await;
    }
}
