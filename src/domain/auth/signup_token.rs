//! The token that ties a pending profile to the client that submitted it. The owner of the phone has the code and the
//! client that signed up has the token. Registering with the profile requires both.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::OtpId;
use ring::hmac;
use uuid::Uuid;

use super::{Keys, PhoneNumber};
use crate::error::{Error, Result};

/// The length of a challenge's id, a UUID.
const ID_BYTES: usize = 16;

/// The id of the signup's challenge, followed by an HMAC over the id and the phone number.
#[derive(Clone)]
pub struct SignupToken(String);

impl SignupToken {
    pub(super) fn issue(id: OtpId, phone_number: &PhoneNumber, keys: &Keys) -> Self {
        let tag = hmac::sign(&keys.current.signup, &signed_bytes(id, phone_number));
        Self(URL_SAFE_NO_PAD.encode([id.0.as_bytes(), tag.as_ref()].concat()))
    }

    /// A token as a client sent it. [`verify`](Self::verify) checks it.
    #[must_use]
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// Verifies the token and returns the id of its challenge.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the token was not issued for this number.
    pub(super) fn verify(&self, phone_number: &PhoneNumber, keys: &Keys) -> Result<OtpId> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).unwrap_or_default();
        let id = bytes.split_first_chunk::<ID_BYTES>().and_then(|(id, tag)| {
            let id = OtpId(Uuid::from_bytes(*id));
            let is_valid = |key: &super::keys::Key| {
                hmac::verify(&key.signup, &signed_bytes(id, phone_number), tag).is_ok()
            };
            keys.all().any(is_valid).then_some(id)
        });
        id.ok_or_else(|| {
            Error::bad_input(
                "signupToken",
                "signupToken must be the token that signup returned for this phone number.",
            )
        })
    }
}

/// The bytes that the HMAC covers.
fn signed_bytes(id: OtpId, phone_number: &PhoneNumber) -> Vec<u8> {
    [id.0.as_bytes(), phone_number.as_str().as_bytes()].concat()
}
