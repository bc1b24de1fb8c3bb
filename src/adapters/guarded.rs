//! Helpers of the adapters that keep state in this process: locks that remain usable after a panic, and streams that clean up
//! when they are dropped.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

/// Locks a mutex even if it is poisoned. A panic while an adapter holds such a lock does not corrupt the state, because each
/// step under the lock leaves it consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of a subscriber, and a guard that cleans up after it. The order of the fields matters: Rust drops `stream` first, so
/// that this subscriber is no longer counted when the guard checks whether any subscriber is left.
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
