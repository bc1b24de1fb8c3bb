//! Setting a new password: with a one-time password if the old one is forgotten, or within a session.

use entity::user;

use super::{Auth, Caller, HOUR, OtpCode, Password, PhoneNumber, SignedIn, Viewer, otp::Purpose};
use crate::{
    error::{Error, Result},
    ports::rate_limit::Limit,
    store::{commit, sessions, users},
};

impl Auth {
    /// Sets the password of the account with this number, with a code that [`send_otp`](Self::send_otp) sent for
    /// [`Purpose::Reset`]. If there is no such account, creates it. Ends all sessions and begins a new one.
    ///
    /// # Errors
    /// [`Error::OtpInvalid`]. [`Error::BadInput`] for a password that is too easy to guess; this does not count as an attempt at
    /// the code. [`Error::RateLimited`]: `PASSWORD_ADDRESS_LIMIT` calls an hour per address. [`Error::Unauthenticated`] if the
    /// account is blocked.
    pub async fn reset_password(
        &self,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        new: &Password,
        caller: &Caller,
    ) -> Result<SignedIn> {
        let key = format!("reset:address:{}", caller.network());
        let max = self.rates.password_address_limit.get();
        self.take_limits(&[Limit { key, max, window: HOUR }]).await?;
        self.passwords.check_strength(new).await?;
        let hash = self.passwords.hash(new).await?;
        // Reported if the number has no code that can be tried, so that the error does not reveal this.
        let decoy_attempts_left = self.decoy_attempts_left(phone_number, Purpose::Reset).await;
        let (signed_in, ended) = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let used = self.use_otp(&tx, phone_number, code, Purpose::Reset, decoy_attempts_left).await?;
                let reset = match used {
                    Ok(()) => {
                        let user = self.find_or_create_user(&tx, phone_number, None).await?;
                        let ended = sessions::end_all_owned_by(&tx, user.id).await?;
                        let user = users::set_password(&tx, user, &hash, self.clock.now()).await?;
                        Ok((self.begin_session(&tx, user, caller).await?.0, ended))
                    }
                    Err(invalid) => Err(invalid),
                };
                // A failed attempt is committed, too, so that it stays counted.
                commit(tx).await?;
                reset
            })
            .await?;
        signed_in.log("password reset");
        self.signal_ended_sessions(&ended).await;
        Ok(signed_in)
    }

    /// Sets a new password and ends all other sessions. `current` is checked only if the account has a password.
    ///
    /// # Errors
    /// [`Error::BadInput`] if `current` is wrong or the new password is too easy to guess; [`Error::Conflict`] if another
    /// request changed the password at the same time; [`Error::RateLimited`]: 10 calls an hour per user.
    pub async fn change_password(
        &self,
        viewer: Viewer,
        current: Option<String>,
        new: &Password,
    ) -> Result<user::Model> {
        let key = format!("password:user:{}", viewer.user);
        self.take_limits(&[Limit { key, max: 10, window: HOUR }]).await?;
        self.passwords.check_strength(new).await?;
        let old = self.me(viewer).await?.password_hash;
        if let Some(old) = &old
            && !self.passwords.verify(current.unwrap_or_default(), old.clone()).await?
        {
            return Err(Error::bad_input("currentPassword", "currentPassword is not the current password."));
        }
        let hash = self.passwords.hash(new).await?;
        let (user, ended) = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let user = users::locked(&tx, viewer.user).await?;
                let user = user.ok_or(Error::Unauthenticated("The account does not exist."))?;
                if user.password_hash != old {
                    return Err(Error::Conflict("Another request changed the password.".to_owned()));
                }
                let user = users::set_password(&tx, user, &hash, self.clock.now()).await?;
                let ended = sessions::end_others(&tx, viewer.user, viewer.session).await?;
                commit(tx).await?;
                Ok((user, ended))
            })
            .await?;
        self.signal_ended_sessions(&ended).await;
        Ok(user)
    }
}
