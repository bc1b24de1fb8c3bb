//! What the adapters that fan out within a process share: locks that survive a panic, and streams that clean up.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

/// Every critical section here leaves the state whole at each step, so a panic in one does not spoil it for the others.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream whose guard is dropped after it, and so sees whether it was the last of its kind.
pub(super) struct Guarded<S, G> {
    stream: S,
    _guard: G,
}

impl<S, G> Guarded<S, G> {
    pub(super) fn new(stream: S, guard: G) -> Self {
        Self { stream, _guard: guard }
    }
}

impl<S: Stream + Unpin, G: Unpin> Stream for Guarded<S, G> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}
