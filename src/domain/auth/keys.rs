//! The keys of the installation, all derived from its secret; and those of secrets that it had before, whose tokens still
//! hold.

use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Holds no secret that could be printed: ring's and `jsonwebtoken`'s keys show none.
pub struct Keys {
    pub(super) current: Key,
    previous: Vec<Key>,
}

/// What is derived from one secret: a key for each purpose, so that what one signs never passes for another's.
pub(super) struct Key {
    pub(super) sign: EncodingKey,
    pub(super) verify: DecodingKey,
    /// Makes a challenge's code from its id, so that no code is stored.
    pub(super) otp: hmac::Key,
    /// Makes the token of a signup from the id of its challenge.
    pub(super) signup: hmac::Key,
    /// Makes the next refresh token from the one that is exchanged.
    pub(super) refresh: hmac::Key,
    /// Tells the refresh tokens that were given out from all others.
    pub(super) refresh_tag: hmac::Key,
    /// Makes the salt of a number that has no password.
    pub(super) salt: hmac::Key,
}

impl Keys {
    /// New tokens are of `secret`; those of `previous` are still read.
    #[must_use]
    pub fn derive(secret: &SecretString, previous: &[SecretString]) -> Self {
        super::hs256::install();
        Self { current: Key::derive(secret), previous: previous.iter().map(Key::derive).collect() }
    }

    /// The current one first.
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
            salt: hmac::Key::new(hmac::HMAC_SHA256, derive("salt of nobody's password").as_ref()),
        }
    }
}
