//! The ports within one process: nothing to install, the same semantics as the real ones.

mod cache;
mod rate_limit;
mod reply_log;
mod signals;

pub use cache::MemoryCache;
pub use rate_limit::MemoryRateLimit;
pub use reply_log::MemoryReplyLog;
pub use signals::MemorySignals;

use std::{
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};

/// Every critical section here leaves the state whole at each step, so a panic in one does not spoil it for the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream whose guard is dropped after it, and so sees whether it was the last of its kind.
struct Guarded<S, G> {
    stream: S,
    _guard: G,
}

impl<S: Stream + Unpin, G: Unpin> Stream for Guarded<S, G> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}
