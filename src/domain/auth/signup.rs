//! Signing up. The profile is stored with a one-time password challenge. To register the number with this profile, the client
//! calls `verify_otp` with any valid sign-in code for the number, such as that which `signup` sends, and with the token that it
//! returned. Two signups for one number have two profiles and two tokens.
//!
//! A signup looks up no user, so its response does not depend on whether the number is registered. If it is, `verify_otp`
//! discards the profile.

use std::time::Duration;

use entity::{OtpId, UserId, user};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{Auth, Caller, Email, FullName, HOUR, Password, PhoneNumber, SentOtp, SignupToken, otp::Purpose};
use crate::{
    error::Result,
    ports::rate_limit::Limit,
    store::{otps, users},
};

/// How long a profile waits for the verification of its number: longer than a code is valid, so that another code can be sent.
pub const PROFILE_LIFETIME: Duration = Duration::from_mins(30);

/// The profile of a user who signs up.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub email: Option<Email>,
    pub full_name: Option<FullName>,
    pub password: Option<Password>,
}

/// A profile as it is stored until its number is verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PendingProfile {
    user: UserId,
    email: Option<String>,
    full_name: Option<String>,
    password_hash: Option<String>,
}

impl Auth {
    /// Sends a code that, together with the returned token, registers the number with this profile. The returned user is not
    /// stored; it is the user that the registration would create.
    ///
    /// # Errors
    /// Those of [`send_otp`](Self::send_otp). [`Error::BadInput`](crate::error::Error::BadInput) for a password that is too
    /// easy to guess. [`Error::RateLimited`](crate::error::Error::RateLimited) also after `SIGNUP_ADDRESS_LIMIT` passwords in an
    /// hour from the caller's network.
    pub async fn signup(
        &self,
        phone_number: PhoneNumber,
        new: NewUser,
        caller: &Caller,
    ) -> Result<(user::Model, SignupToken, SentOtp)> {
        // The password is checked first, so that a rejected password does not count against the limits of codes.
        if let Some(password) = &new.password {
            let key = format!("signup:address:{}", caller.network());
            let max = self.rates.signup_address_limit.get();
            self.take_limits(&[Limit { key, max, window: HOUR }]).await?;
            self.passwords.check_strength(password).await?;
        }
        self.take_otp_limits(&phone_number, caller).await?;
        let password_hash = match &new.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let profile = PendingProfile {
            user: UserId::generate(),
            email: new.email.map(String::from),
            full_name: new.full_name.map(String::from),
            password_hash,
        };
        let stored = serde_json::to_string(&profile).map_err(anyhow::Error::new)?;
        let user = user::Model { verified_at: None, ..self.new_user(&phone_number, Some(profile)) };
        let sent = self.create_otp(phone_number, Purpose::SignIn, Some(stored), caller).await?;
        let token = SignupToken::issue(sent.id, &sent.phone_number, &self.keys);
        Ok((user, token, sent))
    }

    /// Removes and returns the profile of a signup. None without a signup, or if the profile was taken before or has expired.
    pub(super) async fn take_pending_profile(
        &self,
        conn: &impl ConnectionTrait,
        signup: Option<OtpId>,
    ) -> Result<Option<PendingProfile>> {
        let Some(id) = signup else { return Ok(None) };
        let since = self.clock.now() - PROFILE_LIFETIME;
        let stored = otps::take_signup(conn, id, since).await?;
        Ok(stored.as_deref().map(serde_json::from_str).transpose().map_err(anyhow::Error::new)?)
    }

    /// The user of a number that was just verified: the registered one, or a new one with this profile.
    pub(super) async fn find_or_create_user(
        &self,
        conn: &impl ConnectionTrait,
        phone_number: &PhoneNumber,
        profile: Option<PendingProfile>,
    ) -> Result<user::Model> {
        Ok(users::find_or_insert(conn, self.new_user(phone_number, profile)).await?)
    }

    fn new_user(&self, phone_number: &PhoneNumber, profile: Option<PendingProfile>) -> user::Model {
        let now = self.clock.now();
        let profile = profile.unwrap_or_else(|| PendingProfile {
            user: UserId::generate(),
            email: None,
            full_name: None,
            password_hash: None,
        });
        user::Model {
            id: profile.user,
            phone_number: phone_number.as_str().to_owned(),
            email: profile.email,
            full_name: profile.full_name,
            password_hash: profile.password_hash,
            verified_at: Some(now),
            chatrooms_version: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}
