//! The keys of the installation, all derived from its one secret.

use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// Holds no secret that could be printed: ring's and `jsonwebtoken`'s keys show none.
pub struct Keys {
    pub(super) sign: EncodingKey,
    pub(super) verify: DecodingKey,
    /// Without it, a copy of the table of codes cannot be searched for the codes.
    pub(super) otp: hmac::Key,
    /// Makes the next refresh token from the one that is exchanged.
    pub(super) refresh: hmac::Key,
    /// Tells the refresh tokens that were given out from all others.
    pub(super) refresh_tag: hmac::Key,
}

impl Keys {
    /// A key for each purpose, so that what one signs never passes for another's.
    #[must_use]
    pub fn derive(secret: &SecretString) -> Self {
        super::hs256::install();
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let derive = |purpose: &str| hmac::sign(&root, purpose.as_bytes());
        let access = derive("access token");
        Self {
            sign: EncodingKey::from_secret(access.as_ref()),
            verify: DecodingKey::from_secret(access.as_ref()),
            otp: hmac::Key::new(hmac::HMAC_SHA256, derive("one-time password").as_ref()),
            refresh: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token").as_ref()),
            refresh_tag: hmac::Key::new(hmac::HMAC_SHA256, derive("refresh token's tag").as_ref()),
        }
    }
}
