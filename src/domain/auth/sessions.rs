//! Sessions: begun by a proof of identity, kept alive by refreshing, ended by their owner or by a stolen token's reuse.

use std::time::Duration;

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
/// How long after an exchange the old token still gets the same answer: two tabs may refresh at the same moment.
const REFRESH_GRACE: Duration = Duration::from_secs(10);
const LONGEST_USER_AGENT: usize = 200;
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A session's tokens, for its owner only.
pub struct SignedIn {
    pub access_token: String,
    pub access_token_expires_at: Timestamp,
    pub refresh_token: String,
    pub refresh_token_expires_at: Timestamp,
    pub user: user::Model,
}

impl Auth {
    /// Begins a session within the transaction that proved who it is.
    pub(super) async fn begin_session(
        &self,
        conn: &impl ConnectionTrait,
        user: user::Model,
        caller: &Caller,
    ) -> Result<SignedIn> {
        let now = self.clock.now();
        let token = RefreshToken::first(SessionId::generate())?;
        let user_agent =
            caller.user_agent.as_ref().map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect());
        let session = session::Model {
            id: token.session,
            user_id: user.id,
            refresh_hash: token.hash(),
            rotated_at: now,
            user_agent,
            created_at: now,
            last_seen_at: now,
            expires_at: now + REFRESH_TOKEN_LIVES,
        };
        let expires_at = session.expires_at;
        sessions::insert(conn, session).await?;
        self.signed_in(user, &token, expires_at)
    }

    fn signed_in(&self, user: user::Model, token: &RefreshToken, expires_at: Timestamp) -> Result<SignedIn> {
        let now = self.clock.now();
        let viewer = Viewer { user: user.id, session: token.session, until: now + ACCESS_TOKEN_LIVES };
        Ok(SignedIn {
            access_token: tokens::access_token(&self.keys, viewer, now)?,
            access_token_expires_at: viewer.until,
            refresh_token: token.to_text(&self.keys),
            refresh_token_expires_at: expires_at,
            user,
        })
    }

    /// Whose access token this is.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it is not ours, has expired, or its session has ended.
    pub async fn authenticate(&self, access_token: &str) -> Result<Viewer> {
        let now = self.clock.now();
        let viewer = tokens::read_access_token(&self.keys, access_token, now)?;
        match sessions::live(self.db.read(), viewer.session, now).await? {
            Some(session) if session.user_id == viewer.user => Ok(viewer),
            _ => Err(Error::Unauthenticated("The session has ended.")),
        }
    }

    /// Exchanges a refresh token for new tokens. Each works once; an older one is a stolen one, and ends its session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if it is not the session's newest.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignedIn> {
        const REFUSED: Error = Error::Unauthenticated("The refresh token is not valid: sign in again.");
        let (old, key) = RefreshToken::read(refresh_token, &self.keys).ok_or(REFUSED)?;
        let new = old.next(key);
        let now = self.clock.now();
        let expires_at = now + REFRESH_TOKEN_LIVES;
        let old_hash = old.hash();
        let rotation = sessions::Rotation { old_hash: &old_hash, new_hash: new.hash(), now, expires_at };
        let live = sessions::live(self.db.read(), old.session, now).await?.ok_or(REFUSED)?;
        let rotated = sessions::rotate(self.db.write(), old.session, rotation).await?;
        if !rotated {
            let live = sessions::live(self.db.read(), old.session, now).await?.ok_or(REFUSED)?;
            let just_exchanged =
                live.refresh_hash == new.hash() && now.signed_duration_since(live.rotated_at) <= grace();
            if !just_exchanged {
                tracing::warn!(session = %old.session, "a used refresh token came again: its session is ended");
                self.end(old.session).await?;
                return Err(REFUSED);
            }
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

fn grace() -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(REFRESH_GRACE).unwrap_or_default()
}
