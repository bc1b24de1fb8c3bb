//! Helpers for adapters that fan out within a process: a lock that ignores poisoning, and a stream that owns a guard.

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

/// Locks a mutex, poisoned or not: the critical sections of these adapters keep the state consistent at every step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream with a guard that is dropped after it, so that the guard can check whether it was the last subscriber.
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
