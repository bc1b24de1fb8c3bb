//! What ties a pending profile to the client that entered it. Whoever has the phone has the code, and whoever signed up has
//! this token; only both together make the profile the user's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use entity::OtpId;
use ring::hmac;
use uuid::Uuid;

use super::{Keys, PhoneNumber};
use crate::error::{Error, Result};

const ID_BYTES: usize = 16;

/// The id of the challenge that a signup made, and a tag that cannot be guessed, over it and the number.
#[derive(Clone)]
pub struct SignupToken(String);

impl SignupToken {
    pub(super) fn new(id: OtpId, phone_number: &PhoneNumber, keys: &Keys) -> Self {
        let tag = hmac::sign(&keys.current.signup, &signed(id, phone_number));
        Self(URL_SAFE_NO_PAD.encode([id.0.as_bytes(), tag.as_ref()].concat()))
    }

    /// One that a client sent.
    #[must_use]
    pub fn given(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// The challenge of the signup.
    ///
    /// # Errors
    /// [`Error::BadInput`] if it is not of a signup of this number.
    pub(super) fn read(&self, phone_number: &PhoneNumber, keys: &Keys) -> Result<OtpId> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).unwrap_or_default();
        let read = bytes.split_first_chunk::<ID_BYTES>().and_then(|(id, tag)| {
            let id = OtpId(Uuid::from_bytes(*id));
            let is_ours =
                |key: &super::keys::Key| hmac::verify(&key.signup, &signed(id, phone_number), tag).is_ok();
            keys.all().any(is_ours).then_some(id)
        });
        read.ok_or_else(|| {
            Error::bad_input("signupToken", "signupToken must be what signup returned for this phone number.")
        })
    }
}

fn signed(id: OtpId, phone_number: &PhoneNumber) -> Vec<u8> {
    [id.0.as_bytes(), phone_number.as_str().as_bytes()].concat()
}
