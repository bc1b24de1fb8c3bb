//! Sessions: begun by a proof of identity, kept alive by refreshing, ended by their owner or by a stolen token's reuse.
//!
//! ```text
//!  refresh(T1) ──► T2, A2     answer lost     refresh(T1) ──► T2, A3     as often as it takes
//!                                             A3 is used, or T2 is exchanged: the client has T2
//!                                             refresh(T1) ──► reuse: the session ends
//! ```
//!
//! T2 is made from T1 by a key, so that it can be given out again although only its hash is stored. It counts as received
//! once an access token that came with it is used: a thief who has T1 cannot keep step with its owner by repeating the
//! owner's exchanges.

use std::time::Duration;

use chrono::TimeDelta;
use entity::{SessionId, Timestamp, UserId, session, user};
use futures_util::StreamExt;
use sea_orm::ConnectionTrait;

use super::{
    Auth, Caller, Viewer,
    tokens::{self, RefreshToken},
};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{sessions, users},
};

const ACCESS_TOKEN_LIVES: Duration = Duration::from_mins(15);
const REFRESH_TOKEN_LIVES: Duration = Duration::from_hours(30 * 24);
/// How long after an exchange it can be repeated although its answer was received: two tabs may refresh at the same moment.
const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(10);
/// A user's sessions; a new one past them ends the one that was refreshed longest ago.
const MAX_SESSIONS: usize = 100;
const LONGEST_USER_AGENT: usize = 200;
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A session's tokens, for its owner only.
pub struct SignedIn {
    pub access_token: String,
    pub access_token_expires_at: Timestamp,
    pub refresh_token: String,
    pub refresh_token_expires_at: Timestamp,
    pub user: user::Model,
    session: SessionId,
}

impl SignedIn {
    /// Logs a sign-in, once it is stored: ids as the database has them, and no number.
    pub(super) fn log(&self, method: &'static str) {
        tracing::info!(user_id = %self.user.id.0, session_id = %self.session.0, method, "signed in");
    }
}

impl Auth {
    /// Begins a session within the transaction that proved who it is, which has locked the user's row. The sessions that
    /// end with it are to be announced after the commit.
    pub(super) async fn begin_session(
        &self,
        conn: &impl ConnectionTrait,
        user: user::Model,
        caller: &Caller,
    ) -> Result<(SignedIn, Vec<SessionId>)> {
        let now = self.clock.now();
        let token = RefreshToken::first(SessionId::generate())?;
        let user_agent =
            caller.user_agent.as_ref().map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect());
        let session = session::Model {
            id: token.session,
            user_id: user.id,
            refresh_hash: token.hash(),
            rotated_at: now,
            // There is none before it that could be exchanged for it.
            is_received: true,
            user_agent,
            created_at: now,
            last_seen_at: now,
            expires_at: now + REFRESH_TOKEN_LIVES,
        };
        let expires_at = session.expires_at;
        sessions::insert(conn, session).await?;
        let ended = sessions::end_least_recent(conn, user.id, token.session, MAX_SESSIONS).await?;
        Ok((self.signed_in(user, &token, expires_at)?, ended))
    }

    fn signed_in(&self, user: user::Model, token: &RefreshToken, expires_at: Timestamp) -> Result<SignedIn> {
        let now = self.clock.now();
        let viewer = Viewer { user: user.id, session: token.session, until: now + ACCESS_TOKEN_LIVES };
        Ok(SignedIn {
            access_token: tokens::access_token(&self.keys, viewer, token, now)?,
            access_token_expires_at: viewer.until,
            refresh_token: token.to_text(&self.keys),
            refresh_token_expires_at: expires_at,
            user,
            session: token.session,
        })
    }

    /// Whose access token this is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it is not ours, has expired, or its session has ended.
    pub async fn authenticate(&self, access_token: &str) -> Result<Viewer> {
        let now = self.clock.now();
        let (viewer, came_with) = tokens::read_access_token(&self.keys, access_token, now)?;
        let session = sessions::live(self.db.read(), viewer.session, now).await?;
        let session = session.filter(|session| session.user_id == viewer.user);
        let session = session.ok_or(Error::Unauthenticated("The session has ended."))?;
        if !session.is_received && came_with == tokens::fingerprint(&session.refresh_hash) {
            self.note_received(&session).await;
        }
        Ok(viewer)
    }

    /// Notes that the client has the session's newest refresh token. A database that cannot be written to does not keep
    /// anyone from reading.
    async fn note_received(&self, session: &session::Model) {
        let noted = sessions::set_received(self.db.write(), session.id, &session.refresh_hash).await;
        if let Err(error) = noted {
            tracing::warn!(session = %session.id, %error, "failed to note that a refresh token was received");
        }
    }

    /// Exchanges a refresh token for new tokens. The same token gets the same successor again until the client has
    /// received it; after that it is a stolen one, and ends its session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it is neither the session's newest nor the one before.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignedIn> {
        const REFUSED: Error = Error::Unauthenticated("The refresh token is not valid: sign in again.");
        let (old, key) = RefreshToken::read(refresh_token, &self.keys).ok_or(REFUSED)?;
        let new = old.next(key);
        let now = self.clock.now();
        let mut expires_at = now + REFRESH_TOKEN_LIVES;
        let old_hash = old.hash();
        let rotation = sessions::Rotation { old_hash: &old_hash, new_hash: new.hash(), now, expires_at };
        let live = sessions::live(self.db.read(), old.session, now).await?.ok_or(REFUSED)?;
        // The one statement that exchanges it decides between calls at the same time.
        if !sessions::rotate(self.db.write(), old.session, rotation).await? {
            let live = sessions::live(self.db.write(), old.session, now).await?.ok_or(REFUSED)?;
            let is_repeated = live.refresh_hash == new.hash()
                && (!live.is_received || now.signed_duration_since(live.rotated_at) <= REFRESH_GRACE);
            if !is_repeated {
                tracing::warn!(session = %old.session, "session ended: a used refresh token was used again");
                self.end(old.session).await?;
                return Err(REFUSED);
            }
            expires_at = live.expires_at;
        }
        let user = users::by_id(self.db.read(), live.user_id).await?.ok_or(REFUSED)?;
        self.signed_in(user, &new, expires_at)
    }

    /// Ends the viewer's session, or all of the viewer's; says how many ended.
    pub async fn logout(&self, viewer: Viewer, everywhere: bool) -> Result<u64> {
        if !everywhere {
            return self.end(viewer.session).await;
        }
        let ended = sessions::end_all_owned_by(self.db.write(), viewer.user).await?;
        self.tell_all_ended(&ended).await;
        Ok(ended.len() as u64)
    }

    /// Ends one of the viewer's sessions; says how many ended.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn end_session(&self, viewer: Viewer, session: SessionId) -> Result<u64> {
        let ended = sessions::end_owned_by(self.db.write(), viewer.user, session).await?;
        if ended == 0 {
            return Err(Error::NotFound("session"));
        }
        self.tell_ended(session).await;
        Ok(ended)
    }

    /// Where the user is signed in, newest activity first.
    pub async fn sessions(&self, user: UserId) -> Result<Vec<session::Model>> {
        Ok(sessions::owned_by(self.db.read(), user, self.clock.now()).await?)
    }

    /// Returns once the session has ended. A database that does not answer is asked again.
    pub async fn ended(&self, session: SessionId) {
        let mut hints = self.signals.listen(Topic::Session(session)).await;
        loop {
            match sessions::live(self.db.read(), session, self.clock.now()).await {
                Ok(None) => return,
                Ok(Some(_)) => drop(hints.next().await),
                Err(error) => {
                    tracing::warn!(%session, %error, "a socket cannot tell whether its session stands");
                    tokio::time::sleep(ASK_AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn end(&self, session: SessionId) -> Result<u64> {
        let ended = sessions::end(self.db.write(), session).await?;
        self.tell_ended(session).await;
        Ok(ended)
    }

    pub(super) async fn tell_all_ended(&self, sessions: &[SessionId]) {
        for &session in sessions {
            self.tell_ended(session).await;
        }
    }

    /// Open sockets close at once where the hint arrives, and with their access token where it does not.
    async fn tell_ended(&self, session: SessionId) {
        if let Err(unavailable) = self.signals.send(Topic::Session(session)).await {
            tracing::warn!(%session, error = %unavailable, "the end of a session was not told");
        }
    }
}
