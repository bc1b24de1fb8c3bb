//! Signing in: with a one-time password, or with a phone number and password.

use ring::hmac;

use super::{
    Auth, Caller, HOUR, OtpCode, PhoneNumber, SignedIn, SignupToken,
    otp::Purpose,
    password::{self, MAX_LENGTH},
};
use crate::{
    error::{Error, Result},
    ports::rate_limit::Limit,
    store::{commit, users},
};

impl Auth {
    /// Exchanges a code for a session. If the number is not registered yet, creates its user, with the profile of the signup that
    /// issued the token `signup`.
    ///
    /// # Errors
    /// [`Error::OtpInvalid`] with the number of attempts left. [`Error::BadInput`] if `signup` was not issued for this
    /// number; this does not count as an attempt. [`Error::Unauthenticated`] if the account is blocked.
    pub async fn verify_otp(
        &self,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        signup: Option<&SignupToken>,
        caller: &Caller,
    ) -> Result<SignedIn> {
        let signup = signup.map(|token| token.verify(phone_number, &self.keys)).transpose()?;
        // Reported if the number has no code that can be tried, so that the error does not reveal this.
        let decoy_attempts_left = self.decoy_attempts_left(phone_number, Purpose::SignIn).await;
        let (signed_in, ended) = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let used =
                    self.use_otp(&tx, phone_number, code, Purpose::SignIn, decoy_attempts_left).await?;
                let signed_in = match used {
                    Ok(()) => {
                        let profile = self.take_pending_profile(&tx, signup).await?;
                        let user = self.find_or_create_user(&tx, phone_number, profile).await?;
                        Ok(self.begin_session(&tx, user, caller).await?)
                    }
                    Err(invalid) => Err(invalid),
                };
                // A failed attempt is committed, too, so that it stays counted.
                commit(tx).await?;
                signed_in
            })
            .await?;
        self.signal_ended_sessions(&ended).await;
        signed_in.log("code");
        Ok(signed_in)
    }

    /// Signs in with a password. The response and its timing are the same for a wrong password, a number without a password
    /// and an unknown number.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], or [`Error::RateLimited`]: 10 attempts an hour per phone, `PASSWORD_ADDRESS_LIMIT` per
    /// address.
    pub async fn login(
        &self,
        phone_number: &PhoneNumber,
        password: String,
        caller: &Caller,
    ) -> Result<SignedIn> {
        const REJECTED: Error = Error::Unauthenticated("The phone number or the password is wrong.");
        let max = self.rates.password_address_limit.get();
        self.take_limits(&[
            Limit { key: format!("login:phone:{phone_number}"), max: 10, window: HOUR },
            Limit { key: format!("login:address:{}", caller.network()), max, window: HOUR },
        ])
        .await?;
        if password.chars().count() > MAX_LENGTH {
            return Err(REJECTED);
        }
        // Argon2's run time depends slightly on the salt, so each number without a password has its own decoy salt.
        let salt = hmac::sign(&self.keys.current.salt, phone_number.as_str().as_bytes());
        let decoy = password::decoy_hash(salt.as_ref());
        let hash = users::password_hash_or(self.db.read(), phone_number.as_str(), &decoy).await?;
        if !self.passwords.verify(password, hash.clone()).await? {
            return Err(REJECTED);
        }
        let (signed_in, ended) = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let user =
                    users::locked_by_phone_number(&tx, phone_number.as_str()).await?.ok_or(REJECTED)?;
                // The password may have been changed since it was verified.
                if user.password_hash.as_ref() != Some(&hash) {
                    return Err(REJECTED);
                }
                let signed_in = self.begin_session(&tx, user, caller).await?;
                commit(tx).await?;
                Ok(signed_in)
            })
            .await?;
        self.signal_ended_sessions(&ended).await;
        signed_in.log("password");
        Ok(signed_in)
    }
}
