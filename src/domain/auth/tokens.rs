//! Access tokens (JWT, HS256) and refresh tokens (opaque).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use entity::{SessionId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, Header, Validation};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};

use super::{Keys, Viewer, keys::Key};
use crate::error::{Error, Result};

const ISSUER: &str = "pollux";
const AUDIENCE: &str = "pollux-api";

/// The claims of an access token.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
    /// The [`fingerprint`] of the refresh token issued with this token; empty in tokens of older versions.
    #[serde(default)]
    rft: String,
}

/// Issues an access token, valid until `viewer.until`, together with `refresh`.
pub(super) fn issue_access_token(
    keys: &Keys,
    viewer: Viewer,
    refresh: &RefreshToken,
    now: Timestamp,
) -> Result<String> {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: viewer.user,
        sid: viewer.session,
        iat: now.timestamp(),
        exp: viewer.until.timestamp(),
        rft: fingerprint(&refresh.hash()),
    };
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.current.sign);
    token
        .map_err(|error| Error::Internal(anyhow::Error::new(error).context("failed to sign an access token")))
}

/// Verifies an access token. Returns its user and session, and the fingerprint of the refresh token issued with it.
pub(super) fn verify_access_token(keys: &Keys, token: &str, now: Timestamp) -> Result<(Viewer, String)> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // Checked below instead, because the library would read the system clock.
    validation.validate_exp = false;
    let claims = keys
        .all()
        .find_map(|key| jsonwebtoken::decode::<Claims>(token, &key.verify, &validation).ok())
        .ok_or(Error::Unauthenticated("The access token is invalid."))?
        .claims;
    let until = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
    if until <= now {
        return Err(Error::Unauthenticated("The access token has expired."));
    }
    Ok((Viewer { user: claims.sub, session: claims.sid, until }, claims.rft))
}

/// The first 9 bytes of a refresh token's hash, as 12 characters: enough to distinguish the refresh tokens of a session, without
/// revealing a token.
pub(super) fn fingerprint(refresh_hash: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&refresh_hash[..refresh_hash.len().min(9)])
}

/// An opaque token that contains the id of its session, so that a reused token is recognized. Its tag prevents forging a
/// token that ends another user's session. Only the hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) session: SessionId,
    secret: [u8; 32],
}

impl RefreshToken {
    /// The first token of a session, with a random secret.
    pub(super) fn first(session: SessionId) -> Result<Self> {
        Ok(Self { session, secret: crate::domain::random::bytes()? })
    }

    /// The token that this one is exchanged for: always the same one, so that an exchange can be repeated.
    pub(super) fn next(&self, key: &Key) -> Self {
        let tag = hmac::sign(&key.refresh, &self.bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(tag.as_ref());
        Self { session: self.session, secret }
    }

    /// The hash that is stored in the session's row.
    pub(super) fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.bytes()).as_ref().to_vec()
    }

    /// The 16 bytes of the session's id and the 32 bytes of the secret.
    fn bytes(&self) -> Vec<u8> {
        [self.session.0.as_bytes().as_slice(), &self.secret].concat()
    }

    /// The token as the client receives it: its bytes and their tag, encoded.
    pub(super) fn to_text(&self, keys: &Keys) -> String {
        let bytes = self.bytes();
        let tag = hmac::sign(&keys.current.refresh_tag, &bytes);
        URL_SAFE_NO_PAD.encode([&bytes, tag.as_ref()].concat())
    }

    /// Parses and authenticates a token. Returns it with the key that authenticated it; none if it is invalid.
    pub(super) fn parse<'a>(text: &str, keys: &'a Keys) -> Option<(Self, &'a Key)> {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (bytes, tag) = decoded.split_at_checked(48)?;
        let key = keys.all().find(|key| hmac::verify(&key.refresh_tag, bytes, tag).is_ok())?;
        let (session, secret) = bytes.split_first_chunk::<16>()?;
        let session = SessionId(uuid::Uuid::from_bytes(*session));
        Some((Self { session, secret: secret.try_into().ok()? }, key))
    }
}
