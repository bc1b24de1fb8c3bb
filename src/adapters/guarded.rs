//! Helpers of the adapters that pass messages to the subscribers of one process: locks that remain usable after a panic, and
//! streams that clean up as they are dropped.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

/// Locks a mutex even if it is poisoned. A panic while these adapters hold a lock does not corrupt the state, because each of
/// their steps leaves it consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream and its guard. Fields are dropped in order, so when the guard is dropped, the stream no longer counts as a
/// subscriber, and the guard can check whether any is left.
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
