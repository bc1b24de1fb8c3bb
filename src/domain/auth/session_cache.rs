//! Caches the access tokens that were accepted recently, so that most requests are authenticated without reading the database
//! or verifying a signature.
//!
//! ```text
//!  token ──► known and current? ─┬─ yes ──► its viewer
//!                                └─ no ───► subscribe to the session's signal ──► read the session ──► known
//! ```
//!
//! A known token is current until the first of these events: the token or its session expires, the signal of its session
//! arrives, any session in the same slot ends in this process, or [`MAX_AGE`] has passed, which limits the effect of a lost
//! signal. A slot is one of [`SLOTS`] groups of sessions; the process counts how many sessions of each slot have ended.

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
use moka::sync::Cache;
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
    known: Cache<TokenHash, Arc<KnownToken>>,
    /// How many sessions of each slot have ended in this process. Removing the tokens of an ended session instead would not be
    /// enough: if a session ends while a request reads it, that request would insert its token afterwards.
    ended_counts: Arc<[AtomicU64; SLOTS]>,
    hits: HitCounter,
}

/// An access token whose session was live when it was last checked.
pub(super) struct KnownToken {
    viewer: Viewer,
    check: Mutex<Check>,
}

/// The last read of the session, and what has happened since.
struct Check {
    /// When the session was read.
    read_at: Timestamp,
    /// How many sessions of the slot had ended before that.
    ended_count: u64,
    session_expires_at: Timestamp,
    /// Yields when the session may have ended.
    signals: BoxStream<'static, ()>,
    /// Whether a signal has arrived. This is stored because only one request receives the signal from `signals`, but concurrent
    /// requests must read the session, too.
    is_signaled: bool,
}

impl Check {
    /// Whether a signal has arrived since the session was read.
    fn has_received_signal(&mut self) -> bool {
        self.is_signaled |= self.signals.next().now_or_never().is_some();
        self.is_signaled
    }
}

impl SessionCache {
    #[must_use]
    pub fn new(hits: HitCounter) -> Self {
        let known = Cache::builder().max_capacity(MAX_TOKENS).time_to_idle(MAX_IDLE).build();
        Self { known, ended_counts: Arc::new(array::from_fn(|_| AtomicU64::new(0))), hits }
    }

    pub(super) fn hash(token: &str) -> TokenHash {
        let mut hash = TokenHash::default();
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        hash
    }

    /// The viewer of a known token that is current; none if the session must be read.
    pub(super) fn viewer(&self, token: &TokenHash, now: Timestamp) -> Option<Viewer> {
        let viewer = self.current_viewer(token, now);
        self.hits.count(viewer.is_some());
        viewer
    }

    fn current_viewer(&self, token: &TokenHash, now: Timestamp) -> Option<Viewer> {
        let known = self.known.get(token)?;
        let mut check = known.check.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.signed_duration_since(check.read_at);
        let is_current = now < known.viewer.until
            && now < check.session_expires_at
            // The age is negative if the clock was set back.
            && age >= TimeDelta::zero()
            && age < MAX_AGE
            && check.ended_count == self.ended_count(known.viewer.session)
            && !check.has_received_signal();
        is_current.then_some(known.viewer)
    }

    /// How many sessions in the slot of this session have ended in this process.
    pub(super) fn ended_count(&self, session: SessionId) -> u64 {
        self.ended_counts[slot(session)].load(Ordering::SeqCst)
    }

    /// Makes a token known. The caller must have obtained `signals`, `read_at` and `ended_count` before it read the session.
    pub(super) fn insert(
        &self,
        token: TokenHash,
        viewer: Viewer,
        (read_at, ended_count): (Timestamp, u64),
        session_expires_at: Timestamp,
        signals: BoxStream<'static, ()>,
    ) {
        let check = Check { read_at, ended_count, session_expires_at, signals, is_signaled: false };
        let known = KnownToken { viewer, check: Mutex::new(check) };
        self.known.insert(token, Arc::new(known));
    }

    pub(super) fn remove(&self, token: &TokenHash) {
        self.known.invalidate(token);
    }

    /// Makes sure that no token of an ended session is current. Call it after this process has ended the session, and before it
    /// responds to the request that ended it.
    pub(super) fn on_session_ended(&self, session: SessionId) {
        self.ended_counts[slot(session)].fetch_add(1, Ordering::SeqCst);
    }
}

/// The slot of a session, chosen by the last byte of its id, because that byte is random.
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

    fn cache_with_known_token(signals: BoxStream<'static, ()>) -> (SessionCache, Viewer, Timestamp) {
        let cache = SessionCache::new(Metrics::default().caches.of("sessions"));
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let until = now + TimeDelta::seconds(60);
        let viewer = Viewer { user: UserId::generate(), session: SessionId::generate(), until };
        cache.insert(TOKEN, viewer, (now, cache.ended_count(viewer.session)), until, signals);
        (cache, viewer, now)
    }

    #[test]
    fn a_known_token_is_accepted_for_less_than_five_seconds() {
        let (cache, viewer, now) = cache_with_known_token(stream::pending().boxed());
        assert_eq!(cache.viewer(&TOKEN, now), Some(viewer));
        assert_eq!(cache.viewer(&TOKEN, now + TimeDelta::milliseconds(4_999)), Some(viewer));
        assert_eq!(cache.viewer(&TOKEN, now + TimeDelta::seconds(5)), None);
        assert_eq!(cache.viewer(&TOKEN, now - TimeDelta::seconds(1)), None, "the clock was set back");
    }

    #[test]
    fn a_known_token_is_not_current_after_its_session_ended_here_or_its_signal_arrived() {
        let (cache, viewer, now) = cache_with_known_token(stream::pending().boxed());
        cache.on_session_ended(viewer.session);
        assert_eq!(cache.viewer(&TOKEN, now), None);
        let (cache, _, now) = cache_with_known_token(stream::iter([()]).chain(stream::pending()).boxed());
        for _ in 0..2 {
            assert_eq!(cache.viewer(&TOKEN, now), None, "for concurrent requests, too");
        }
    }

    #[test]
    fn a_session_that_ends_while_it_is_read_is_not_accepted_afterwards() {
        let (cache, viewer, now) = cache_with_known_token(stream::pending().boxed());
        let before = cache.ended_count(viewer.session);
        cache.on_session_ended(viewer.session);
        cache.insert(TOKEN, viewer, (now, before), viewer.until, stream::pending().boxed());
        assert_eq!(cache.viewer(&TOKEN, now), None);
    }
}
