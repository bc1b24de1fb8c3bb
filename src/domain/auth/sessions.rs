//! Sessions: signing in begins a session, refreshing extends it, and its owner, an operator or the reuse of a used refresh token
//! ends it.
//!
//! ```text
//!  refresh(T1) ──► T2, A2     response lost   refresh(T1) ──► T2, A3     repeatable
//!                                             T2 is exchanged, or A3 is used and 10 s have passed since T1 was first exchanged
//!                                             refresh(T1) ──► reuse: the session ends
//!  T1, T2: refresh tokens; A2, A3: access tokens issued with T2
//! ```
//!
//! T2 is derived from T1 and a key, so T2 can be issued a second time although only its hash is stored. T2 counts as received
//! once it is exchanged or an access token issued with it is used. For 10 s after T1 was exchanged, the exchange can be repeated
//! even if T2 was received, but not if T2 was exchanged. Once the exchange can no longer be repeated, a thief who tries to repeat
//! it ends the session instead of obtaining the owner's tokens.

use std::time::Duration;

use chrono::TimeDelta;
use entity::{SessionId, Timestamp, UserId, session, user};
use futures_util::StreamExt;
use sea_orm::ConnectionTrait;

use super::{
    Auth, Caller, Viewer,
    session_cache::{SessionCache, TokenHash},
    tokens::{self, RefreshToken},
};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{blocked_users, sessions, users},
};

const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// How long an exchange can be repeated even if its response was received, because two tabs may refresh at the same time.
const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);
/// Maximum number of sessions per user. A further one ends the session that was refreshed longest ago.
const MAX_SESSIONS: usize = 100;
/// In characters.
const MAX_USER_AGENT: usize = 200;
/// How long [`Auth::session_ended`] waits after a failed read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The tokens of a session and its user.
pub struct SignedIn {
    pub access_token: String,
    pub access_token_expires_at: Timestamp,
    pub refresh_token: String,
    pub refresh_token_expires_at: Timestamp,
    pub user: user::Model,
    session: SessionId,
}

impl SignedIn {
    /// Logs a sign-in after its commit: ids only, no phone number.
    pub(super) fn log(&self, method: &'static str) {
        tracing::info!(user_id = %self.user.id.0, session_id = %self.session.0, method, "signed in");
    }
}

impl Auth {
    /// Begins a session in the transaction that authenticated the user and locked the user's row. Also returns the sessions
    /// that were ended to stay within [`MAX_SESSIONS`]. After the commit, pass them to
    /// [`signal_ended_sessions`](Self::signal_ended_sessions).
    pub(super) async fn begin_session(
        &self,
        conn: &impl ConnectionTrait,
        user: user::Model,
        caller: &Caller,
    ) -> Result<(SignedIn, Vec<SessionId>)> {
        if blocked_users::is_blocked(conn, user.id).await? {
            return Err(Error::Unauthenticated("The account is blocked."));
        }
        let now = self.clock.now();
        let token = RefreshToken::first(SessionId::generate())?;
        let user_agent = caller.user_agent.as_ref().map(|agent| agent.chars().take(MAX_USER_AGENT).collect());
        let session = session::Model {
            id: token.session,
            user_id: user.id,
            refresh_hash: token.hash(),
            rotated_at: now,
            // There is no earlier refresh token whose exchange could be repeated.
            is_received: true,
            user_agent,
            created_at: now,
            last_seen_at: now,
            expires_at: now + REFRESH_TOKEN_LIFETIME,
        };
        let expires_at = session.expires_at;
        sessions::insert(conn, session).await?;
        let ended = sessions::end_least_recent(conn, user.id, token.session, MAX_SESSIONS).await?;
        Ok((self.issue_tokens(user, &token, expires_at)?, ended))
    }

    /// Issues an access token, and returns it with the refresh token `token`, which expires at `expires_at`.
    fn issue_tokens(
        &self,
        user: user::Model,
        token: &RefreshToken,
        expires_at: Timestamp,
    ) -> Result<SignedIn> {
        let now = self.clock.now();
        let viewer = Viewer { user: user.id, session: token.session, until: now + ACCESS_TOKEN_LIFETIME };
        Ok(SignedIn {
            access_token: tokens::issue_access_token(&self.keys, viewer, token, now)?,
            access_token_expires_at: viewer.until,
            refresh_token: token.to_text(&self.keys),
            refresh_token_expires_at: expires_at,
            user,
            session: token.session,
        })
    }

    /// The user and session of an access token.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the token is invalid or expired, or its session has ended.
    pub async fn authenticate(&self, access_token: &str) -> Result<Viewer> {
        let now = self.clock.now();
        let token_hash = SessionCache::hash(access_token);
        if let Some(viewer) = self.session_cache.viewer(&token_hash, now) {
            return Ok(viewer);
        }
        // Boxed, because few requests need this memory.
        Box::pin(self.verify(access_token, token_hash, now)).await
    }

    /// Verifies a token whose hash is not in the cache, or is no longer current there.
    async fn verify(&self, access_token: &str, token_hash: TokenHash, now: Timestamp) -> Result<Viewer> {
        let (viewer, refresh_fingerprint) = tokens::verify_access_token(&self.keys, access_token, now)?;
        let signals = self.signals.subscribe(Topic::Session(viewer.session)).await;
        // Like the subscription, the count precedes the read of the session. The cache thereby notices if the session ends
        // during the read.
        let ended_count = self.session_cache.ended_count(viewer.session);
        let session = sessions::live(self.db.read(), viewer.session, now).await?;
        let Some(session) = session.filter(|session| session.user_id == viewer.user) else {
            self.session_cache.remove(&token_hash);
            return Err(Error::Unauthenticated("The session has ended."));
        };
        let proves_receipt =
            !session.is_received && refresh_fingerprint == tokens::fingerprint(&session.refresh_hash);
        // If marking fails, the access token is not cached, so that the next request with it retries.
        if !proves_receipt || self.mark_received(&session).await {
            self.session_cache.insert(token_hash, viewer, (now, ended_count), session.expires_at, signals);
        }
        Ok(viewer)
    }

    /// Records that the client has received the session's newest refresh token. Returns false if the write fails. That does not
    /// fail the request, because it may be a query, which needs no write.
    async fn mark_received(&self, session: &session::Model) -> bool {
        let marked = sessions::set_received(self.db.write(), session.id, &session.refresh_hash).await;
        if let Err(error) = &marked {
            tracing::warn!(session = %session.id, %error, "failed to mark a refresh token as received");
        }
        marked.is_ok()
    }

    /// Exchanges a refresh token for new tokens. The exchange can be repeated, and then returns the same new refresh token, until
    /// the client has received that token and [`REFRESH_GRACE`] has passed, or until that token has been exchanged. After that,
    /// the old token counts as stolen, and its use ends the session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the session has ended, or the token is not its newest one and the exchange cannot be
    /// repeated.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignedIn> {
        const REJECTED: Error = Error::Unauthenticated("The refresh token is invalid. Sign in again.");
        let (old, key) = RefreshToken::parse(refresh_token, &self.keys).ok_or(REJECTED)?;
        let new = old.next(key);
        let now = self.clock.now();
        let mut expires_at = now + REFRESH_TOKEN_LIFETIME;
        let old_hash = old.hash();
        let rotation = sessions::Rotation { old_hash: &old_hash, new_hash: new.hash(), now, expires_at };
        let session = sessions::live(self.db.read(), old.session, now).await?.ok_or(REJECTED)?;
        // This statement decides between concurrent exchanges of the same token.
        if !sessions::rotate(self.db.write(), old.session, rotation).await? {
            let current = sessions::live(self.db.write(), old.session, now).await?.ok_or(REJECTED)?;
            let is_repeated = current.refresh_hash == new.hash()
                && (!current.is_received || now.signed_duration_since(current.rotated_at) <= REFRESH_GRACE);
            if !is_repeated {
                tracing::warn!(session = %old.session, "session ended: a used refresh token was reused");
                self.end(old.session).await?;
                return Err(REJECTED);
            }
            expires_at = current.expires_at;
        }
        let user = users::by_id(self.db.read(), session.user_id).await?.ok_or(REJECTED)?;
        self.issue_tokens(user, &new, expires_at)
    }

    /// Ends the viewer's session, or all of the viewer's sessions. Returns how many ended.
    pub async fn logout(&self, viewer: Viewer, everywhere: bool) -> Result<u64> {
        if !everywhere {
            return self.end(viewer.session).await;
        }
        let ended = sessions::end_all_owned_by(self.db.write(), viewer.user).await?;
        self.signal_ended_sessions(&ended).await;
        Ok(ended.len() as u64)
    }

    /// Ends one of the viewer's sessions. Returns 1, the number of ended sessions.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn end_session(&self, viewer: Viewer, session: SessionId) -> Result<u64> {
        let ended = sessions::end_owned_by(self.db.write(), viewer.user, session).await?;
        if ended == 0 {
            return Err(Error::NotFound("session"));
        }
        self.signal_ended_sessions(&[session]).await;
        Ok(ended)
    }

    /// The user's sessions, most recently refreshed first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<session::Model>> {
        Ok(sessions::owned_by(self.db.read(), user, self.clock.now()).await?)
    }

    /// Returns once the session has ended. Retries while the database is unavailable.
    pub async fn session_ended(&self, session: SessionId) {
        let mut signals = self.signals.subscribe(Topic::Session(session)).await;
        loop {
            // The read is boxed, so that this future does not hold the memory of the read while it waits for a signal.
            match Box::pin(sessions::live(self.db.read(), session, self.clock.now())).await {
                Ok(None) => return,
                Ok(Some(_)) => drop(signals.next().await),
                Err(error) => {
                    tracing::warn!(%session, %error, "failed to check whether a session has ended; will retry");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// Ends a session and publishes its signal. Returns how many sessions ended: 0 if it had ended before.
    async fn end(&self, session: SessionId) -> Result<u64> {
        let ended = sessions::end(self.db.write(), session).await?;
        self.signal_ended_sessions(&[session]).await;
        Ok(ended)
    }

    /// Signals that sessions have ended. This process rejects them at once; other processes reject them when the signals arrive,
    /// or within five seconds if the signals are lost. Open sockets of a session close when its signal arrives, or when their
    /// access token expires.
    pub(super) async fn signal_ended_sessions(&self, sessions: &[SessionId]) {
        for &session in sessions {
            self.session_cache.on_session_ended(session);
        }
        let topics: Vec<Topic> = sessions.iter().copied().map(Topic::Session).collect();
        if let Err(error) = self.signals.publish(&topics).await {
            tracing::warn!(?sessions, %error, "failed to send the signals of ended sessions");
        }
    }
}
