//! Combines reads of versions: while one request to Redis is in flight, further reads wait, and the next request has the keys of
//! all of them. Each read is sent after its call has begun, so it returns every version that was recorded before.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::link::Link;

/// The key of a version, and where to send the version.
type Read = (String, oneshot::Sender<Option<i64>>);

pub(super) struct VersionReads {
    link: Link,
    waiting: Mutex<Vec<Read>>,
    /// Held by the call whose request is in flight.
    turn: AsyncMutex<()>,
}

impl VersionReads {
    pub(super) fn new(link: Link) -> Self {
        Self { link, waiting: Mutex::default(), turn: AsyncMutex::default() }
    }

    /// The version that is stored under this key. None if there is none, or if the request failed or its call was dropped.
    pub(super) async fn read(&self, key: String) -> Option<i64> {
        if self.link.is_cluster() {
            // The keys are in different slots, so one request cannot read several.
            return self.request(&[key]).await.pop().flatten();
        }
        let (sender, mut version) = oneshot::channel();
        self.waiting().push((key, sender));
        tokio::select! {
            biased;
            read = &mut version => return read.ok().flatten(),
            _turn = self.turn.lock() => {
                // Tasks that are ready run first: their reads join this request.
                tokio::task::yield_now().await;
                self.read_waiting().await;
            }
        }
        version.await.ok().flatten()
    }

    /// Reads all versions that calls wait for. If that fails, dropping the senders ends the calls.
    async fn read_waiting(&self) {
        let waiting = std::mem::take(&mut *self.waiting());
        let (keys, senders): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for (sender, version) in senders.into_iter().zip(self.request(&keys).await) {
            // The error is ignored: it means that the call was dropped.
            let _ = sender.send(version);
        }
    }

    /// The versions under these keys. Empty if the request failed.
    async fn request(&self, keys: &[String]) -> Vec<Option<i64>> {
        let Ok(mut server) = self.link.server() else { return Vec::new() };
        let _span = Link::span();
        self.link.process_result(server.numbers(keys).await).unwrap_or_default()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Read>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
