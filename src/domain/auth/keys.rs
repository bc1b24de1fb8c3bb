//! The keys of the installation, which are derived from its secret. Keys of previous secrets are kept, so that tokens that were
//! issued with them stay valid.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// The length of a share's id, a UUID.
const ID_BYTES: usize = 16;

/// The keys of the current secret, which issue new tokens, and those of previous secrets, whose tokens stay valid.
pub struct Keys {
    pub(super) current: Key,
    previous: Vec<Key>,
}

/// The keys derived from one secret: one per purpose, so that a tag made for one purpose is not valid for another.
pub(super) struct Key {
    /// Signs access tokens.
    pub(super) sign: EncodingKey,
    /// Verifies access tokens.
    pub(super) verify: DecodingKey,
    /// Derives the code of a one-time password from the id of its challenge.
    pub(super) otp: hmac::Key,
    /// Authenticates signup tokens.
    pub(super) signup: hmac::Key,
    /// Derives the next refresh token from the current one.
    pub(super) refresh: hmac::Key,
    /// Authenticates refresh tokens.
    pub(super) refresh_tag: hmac::Key,
    /// Authenticates the tokens of shares.
    share: hmac::Key,
    /// Derives the salt of the decoy hash (see [`decoy_hash`](super::password::decoy_hash)) of a number without a password.
    pub(super) salt: hmac::Key,
}

impl Keys {
    /// New tokens are issued with `secret`; tokens issued with `previous` stay valid.
    #[must_use]
    pub fn derive(secret: &SecretString, previous: &[SecretString]) -> Self {
        super::hs256::install();
        Self { current: Key::derive(secret), previous: previous.iter().map(Key::derive).collect() }
    }

    /// The token of a share: its id, followed by an HMAC over it.
    #[must_use]
    pub fn share_token(&self, share: Uuid) -> String {
        let tag = hmac::sign(&self.current.share, share.as_bytes());
        URL_SAFE_NO_PAD.encode([share.as_bytes(), tag.as_ref()].concat())
    }

    /// The id of the share whose token this is; none if the token was not issued here.
    #[must_use]
    pub fn share_of(&self, token: &str) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, tag) = bytes.split_first_chunk::<ID_BYTES>()?;
        let is_valid = |key: &Key| hmac::verify(&key.share, id, tag).is_ok();
        self.all().any(is_valid).then(|| Uuid::from_bytes(*id))
    }

    /// All keys, the current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl Key {
    fn derive(secret: &SecretString) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        // The text of a purpose must not change: that would invalidate everything that was issued with its key.
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let access = derive("access token");
        Self {
            sign: EncodingKey::from_secret(access.as_ref()),
            verify: DecodingKey::from_secret(access.as_ref()),
            otp: hmac::Key::new(hmac::HMAC_SHA256, derive("one-time password").as_ref()),
            signup: hmac::Key::new(hmac::HMAC_SHA256, derive("signup token").as_ref()),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token").as_ref()),
            refresh_tag: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token's tag").as_ref()),
            share: hmac::Key::new(hmac::HMAC_SHA256, derive("share").as_ref()),
            salt: hmac::Key::new(hmac::HMAC_SHA256, derive("decoy salt").as_ref()),
        }
    }
}
