//! Access tokens that were accepted a moment ago, so that most requests are authenticated without the database and without
//! verifying a signature.
//!
//! ```text
//!  token ──► known and current? ─┬─ yes ──► its viewer
//!                                └─ no ───► subscribe to the session's signal ──► read the session ──► known
//! ```
//!
//! A known token is current until it or its session expires, the session's signal arrives, any session in the same slot ends
//! in this process, or [`MAX_AGE`] has passed, which limits the effect of a lost signal. A slot is one of [`SLOTS`] groups of
//! sessions; the process counts the ended sessions of each.

use std::{
    array,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use entity::{SessionId, Timestamp};
use futures_util::{FutureExt, StreamExt, stream::BoxStream};
use moka::future::Cache;
use ring::digest;

use super::Viewer;
use crate::telemetry::metrics::HitCounter;

/// How long a session that ended in another process may be accepted if its signal is lost.
const MAX_AGE: TimeDelta = TimeDelta::seconds(5);
const MAX_TOKENS: u64 = 20_000;
/// A token that is unused for this long is removed together with its subscription.
const MAX_IDLE: Duration = Duration::from_mins(1);
const SLOTS: usize = 256;

/// SHA-256 of an access token.
pub(super) type TokenHash = [u8; digest::SHA256_OUTPUT_LEN];

/// The known access tokens of this process.
#[derive(Clone)]
pub struct SessionCache {
    known: Cache<TokenHash, Arc<Known>>,
    /// How many sessions of each slot have ended in this process. They are counted because removing their entries would not be
    /// enough: a session that ends while it is read would be inserted, and accepted, afterwards.
    ended: Arc<[AtomicU64; SLOTS]>,
    hits: HitCounter,
}

/// An access token whose session was live when it was last checked.
pub(super) struct Known {
    viewer: Viewer,
    check: Mutex<Check>,
}

struct Check {
    /// When the session was read.
    at: Timestamp,
    /// The slot's count of ended sessions before that.
    ended: u64,
    session_expires_at: Timestamp,
    /// Yields when the session may have ended.
    signals: BoxStream<'static, ()>,
    /// Whether a signal has arrived. It is stored, so that concurrent requests read the session, too.
    is_signaled: bool,
}

impl Check {
    fn is_signaled(&mut self) -> bool {
        self.is_signaled |= self.signals.next().now_or_never().is_some();
        self.is_signaled
    }
}

impl SessionCache {
    #[must_use]
    pub fn new(hits: HitCounter) -> Self {
        let known = Cache::builder().max_capacity(MAX_TOKENS).time_to_idle(MAX_IDLE).build();
        Self { known, ended: Arc::new(array::from_fn(|_| AtomicU64::new(0))), hits }
    }

    pub(super) fn hash(token: &str) -> TokenHash {
        let mut hash = TokenHash::default();
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        hash
    }

    /// The viewer of a known token that is current; none if the session must be read.
    pub(super) async fn viewer(&self, token: &TokenHash, now: Timestamp) -> Option<Viewer> {
        let viewer = self.current_viewer(token, now).await;
        self.hits.count(viewer.is_some());
        viewer
    }

    async fn current_viewer(&self, token: &TokenHash, now: Timestamp) -> Option<Viewer> {
        let known = self.known.get(token).await?;
        let mut check = known.check.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.signed_duration_since(check.at);
        let is_current = now < known.viewer.until
            && now < check.session_expires_at
            && age >= TimeDelta::zero()
            && age < MAX_AGE
            && check.ended == self.ended_count(known.viewer.session)
            && !check.is_signaled();
        is_current.then_some(known.viewer)
    }

    /// How many sessions in this one's slot have ended in this process.
    pub(super) fn ended_count(&self, session: SessionId) -> u64 {
        self.ended[slot(session)].load(Ordering::SeqCst)
    }

    /// Makes a token known. `signals`, `at` and `ended` are from before the session was read.
    pub(super) async fn insert(
        &self,
        token: TokenHash,
        viewer: Viewer,
        (at, ended): (Timestamp, u64),
        session_expires_at: Timestamp,
        signals: BoxStream<'static, ()>,
    ) {
        let check = Mutex::new(Check { at, ended, session_expires_at, signals, is_signaled: false });
        self.known.insert(token, Arc::new(Known { viewer, check })).await;
    }

    pub(super) async fn remove(&self, token: &TokenHash) {
        self.known.invalidate(token).await;
    }

    /// Call it after a session has ended in this process, before the response to the request that ended it.
    pub(super) fn on_session_ended(&self, session: SessionId) {
        self.ended[slot(session)].fetch_add(1, Ordering::SeqCst);
    }
}

/// The slot of a session: the last byte of its id, which is random.
fn slot(session: SessionId) -> usize {
    usize::from(session.0.as_bytes()[15]) % SLOTS
}

#[cfg(test)]
mod tests {
    use entity::UserId;
    use futures_util::stream;

    use super::*;
    use crate::telemetry::metrics::Metrics;

    const TOKEN: TokenHash = [1; 32];

    async fn known(signals: BoxStream<'static, ()>) -> (SessionCache, Viewer, Timestamp) {
        let cache = SessionCache::new(Metrics::default().caches.of("sessions"));
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let until = now + TimeDelta::seconds(60);
        let viewer = Viewer { user: UserId::generate(), session: SessionId::generate(), until };
        cache.insert(TOKEN, viewer, (now, cache.ended_count(viewer.session)), until, signals).await;
        (cache, viewer, now)
    }

    #[tokio::test]
    async fn a_known_token_is_accepted_for_less_than_five_seconds() {
        let (cache, viewer, now) = known(stream::pending().boxed()).await;
        assert_eq!(cache.viewer(&TOKEN, now).await, Some(viewer));
        assert_eq!(cache.viewer(&TOKEN, now + TimeDelta::milliseconds(4_999)).await, Some(viewer));
        assert_eq!(cache.viewer(&TOKEN, now + TimeDelta::seconds(5)).await, None);
        assert_eq!(cache.viewer(&TOKEN, now - TimeDelta::seconds(1)).await, None, "the clock was set back");
    }

    #[tokio::test]
    async fn a_known_token_is_read_again_after_its_session_ended_here_or_its_signal_arrived() {
        let (cache, viewer, now) = known(stream::pending().boxed()).await;
        cache.on_session_ended(viewer.session);
        assert_eq!(cache.viewer(&TOKEN, now).await, None);
        let (cache, _, now) = known(stream::iter([()]).chain(stream::pending()).boxed()).await;
        for _ in 0..2 {
            assert_eq!(cache.viewer(&TOKEN, now).await, None, "for concurrent requests, too");
        }
    }

    #[tokio::test]
    async fn a_session_that_ends_while_it_is_read_is_not_accepted_afterwards() {
        let (cache, viewer, now) = known(stream::pending().boxed()).await;
        let before = cache.ended_count(viewer.session);
        cache.on_session_ended(viewer.session);
        cache.insert(TOKEN, viewer, (now, before), viewer.until, stream::pending().boxed()).await;
        assert_eq!(cache.viewer(&TOKEN, now).await, None);
    }
}
