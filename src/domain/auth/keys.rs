//! The keys of the installation, derived from its secret, and those derived from previous secrets, whose tokens stay valid.

use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// The keys of the current secret, which issue new tokens, and those of previous secrets, whose tokens stay
/// valid.
pub struct Keys {
    pub(super) current: Key,
    previous: Vec<Key>,
}

/// The keys derived from one secret: one per purpose, so that a tag made for one purpose is not valid for another.
pub(super) struct Key {
    pub(super) sign: EncodingKey,
    pub(super) verify: DecodingKey,
    /// Derives the code of a challenge from its id.
    pub(super) otp: hmac::Key,
    /// Authenticates signup tokens.
    pub(super) signup: hmac::Key,
    /// Derives the next refresh token from the current one.
    pub(super) refresh: hmac::Key,
    /// Authenticates refresh tokens.
    pub(super) refresh_tag: hmac::Key,
    /// Derives the decoy salt of a number without a password.
    pub(super) salt: hmac::Key,
}

impl Keys {
    /// New tokens are issued with `secret`; tokens issued with `previous` stay valid.
    #[must_use]
    pub fn derive(secret: &SecretString, previous: &[SecretString]) -> Self {
        super::hs256::install();
        Self { current: Key::derive(secret), previous: previous.iter().map(Key::derive).collect() }
    }

    /// All keys, the current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl Key {
    fn derive(secret: &SecretString) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let access = derive("access token");
        Self {
            sign: EncodingKey::from_secret(access.as_ref()),
            verify: DecodingKey::from_secret(access.as_ref()),
            otp: hmac::Key::new(hmac::HMAC_SHA256, derive("one-time password").as_ref()),
            signup: hmac::Key::new(hmac::HMAC_SHA256, derive("signup token").as_ref()),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token").as_ref()),
            refresh_tag: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token's tag").as_ref()),
            salt: hmac::Key::new(hmac::HMAC_SHA256, derive("decoy salt").as_ref()),
        }
    }
}
