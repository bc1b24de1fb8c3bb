//! Signing up: the profile is stored with the signup's challenge until the number is proven, by any code for it, together
//! with the token that the signup returned. Two signups of a number have two profiles and two tokens.
//!
//! No user is looked up, so that no answer depends on whether the number is known; for one that is, the profile is dropped.

use std::time::Duration;

use entity::{OtpId, UserId, user};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{
    AN_HOUR, Auth, Caller, Email, FullName, Password, PhoneNumber, SentOtp, SignupToken, otp::Purpose,
};
use crate::{
    error::Result,
    ports::rate_limit::Limit,
    store::{otps, users},
};

/// How long a profile waits for its proof: longer than a code, so that another code can be sent.
pub const PROFILE_LIFETIME: Duration = Duration::from_mins(30);

/// The profile of a user who signs up.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub email: Option<Email>,
    pub full_name: Option<FullName>,
    pub password: Option<Password>,
}

/// The same as it is stored until the number is proven.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    user: UserId,
    email: Option<String>,
    full_name: Option<String>,
    password_hash: Option<String>,
}

impl Auth {
    /// Sends a code that, together with the token, registers its number with this profile. The user is as it would be
    /// then.
    ///
    /// # Errors
    /// As [`send_otp`](Self::send_otp); [`Error::BadInput`](crate::error::Error::BadInput) for a password that is too easy
    /// to guess, of which an address may have 60 an hour rated.
    pub async fn signup(
        &self,
        phone_number: PhoneNumber,
        new: NewUser,
        caller: &Caller,
    ) -> Result<(user::Model, SignupToken, SentOtp)> {
        // Before the code is counted: a password that is refused costs none.
        if let Some(password) = &new.password {
            let key = format!("signup:address:{}", caller.network());
            self.take(&[Limit { key, max: 60, window: AN_HOUR }]).await?;
            self.passwords.rate(password).await?;
        }
        self.count_otp(&phone_number, caller).await?;
        let password_hash = match &new.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let user = user::Model {
            id: UserId::generate(),
            phone_number: phone_number.as_str().to_owned(),
            email: new.email.map(String::from),
            full_name: new.full_name.map(String::from),
            password_hash,
            verified_at: None,
            rooms_version: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        let pending = Pending {
            user: user.id,
            email: user.email.clone(),
            full_name: user.full_name.clone(),
            password_hash: user.password_hash.clone(),
        };
        let sent = self.make_otp(phone_number, Purpose::SignIn, Some(&pending), caller).await?;
        let token = SignupToken::new(sent.id, &sent.phone_number, &self.keys);
        Ok((user, token, sent))
    }

    /// The profile of a signup, once: none if it has been taken or has expired.
    pub(super) async fn take_pending(
        &self,
        conn: &impl ConnectionTrait,
        signup: Option<OtpId>,
    ) -> Result<Option<Pending>> {
        let Some(id) = signup else { return Ok(None) };
        let since = self.clock.now() - PROFILE_LIFETIME;
        let stored = otps::take_signup(conn, id, since).await?;
        Ok(stored.as_deref().map(serde_json::from_str).transpose().map_err(anyhow::Error::new)?)
    }

    /// The user of a number that has just been proven: the known one, or a new one with this profile.
    pub(super) async fn proven(
        &self,
        conn: &impl ConnectionTrait,
        phone_number: &PhoneNumber,
        pending: Option<Pending>,
    ) -> Result<user::Model> {
        let now = self.clock.now();
        let (id, email, full_name, password_hash) = match pending {
            Some(pending) => (pending.user, pending.email, pending.full_name, pending.password_hash),
            None => (UserId::generate(), None, None, None),
        };
        let new = user::Model {
            id,
            phone_number: phone_number.as_str().to_owned(),
            email,
            full_name,
            password_hash,
            verified_at: Some(now),
            rooms_version: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        Ok(users::known_or(conn, new).await?)
    }
}
