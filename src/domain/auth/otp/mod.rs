//! One-time passwords.
//!
//! A code is made from the challenge's id by a key, so that none is stored and whoever delivers it makes it again. A try is
//! counted before anything is compared, so that guesses in parallel do not multiply. A wrong, a used, an expired code and
//! one for a number that was never sent any all get the same answer.

use std::time::Duration;

use entity::{OtpId, Timestamp, otp};
use sea_orm::DatabaseTransaction;

pub(super) mod code;
pub(super) mod delivery;

use super::{AN_HOUR, Auth, Caller, OtpCode, PhoneNumber, SignedIn, SignupToken, signup::Pending};
use crate::{
    error::{Error, Result},
    ports::{
        otp_sender::Delivery,
        rate_limit::{Limit, Verdict},
    },
    store::{commit, jobs, otps},
};

pub use entity::otp::Purpose;

const LIVES: Duration = Duration::from_mins(5);
const MAX_TRIES: u32 = 5;
const RESEND_AFTER: Duration = Duration::from_secs(30);

/// A code that is on its way.
pub struct SentOtp {
    pub(super) id: OtpId,
    pub phone_number: PhoneNumber,
    pub expires_at: Timestamp,
    /// When another may be asked for.
    pub resend_at: Timestamp,
    /// The code, where the response is what delivers it.
    pub code: Option<String>,
}

impl Auth {
    /// Sends a code to a phone, which from now on is the only one that works for it and for this.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a country that is not served; [`Error::RateLimited`]: one every 30 s and 5 an hour a phone,
    /// 20 an hour an address, and a setting's number an hour for the numbers that differ in their last four digits alone.
    pub async fn send_otp(
        &self,
        phone_number: PhoneNumber,
        purpose: Purpose,
        caller: &Caller,
    ) -> Result<SentOtp> {
        self.count_otp(&phone_number, caller).await?;
        self.make_otp(phone_number, purpose, None, caller).await
    }

    /// Counts a code that is to be sent, before anything is done for it.
    pub(super) async fn count_otp(&self, phone_number: &PhoneNumber, caller: &Caller) -> Result<()> {
        if !self.settings.serves(phone_number.country()) {
            return Err(Error::bad_input(
                "phoneNumber",
                "phoneNumber is of a country that is not served here.",
            ));
        }
        let limit = |key: String, max, window| Limit { key, max, window };
        self.take(&[
            limit(format!("otp:resend:{phone_number}"), 1, RESEND_AFTER),
            limit(format!("otp:phone:{phone_number}"), 5, AN_HOUR),
            limit(format!("otp:address:{}", caller.network()), 20, AN_HOUR),
            limit(
                format!("otp:prefix:{}", phone_number.prefix()),
                self.settings.otp_prefix_limit.get(),
                AN_HOUR,
            ),
        ])
        .await
    }

    /// Stores a challenge, and delivers its code or leaves that to a job.
    pub(super) async fn make_otp(
        &self,
        phone_number: PhoneNumber,
        purpose: Purpose,
        pending: Option<&Pending>,
        caller: &Caller,
    ) -> Result<SentOtp> {
        let now = self.clock.now();
        let id = OtpId::generate();
        let otp = otp::Model {
            id,
            phone_number: phone_number.as_str().to_owned(),
            purpose,
            signup: pending.map(serde_json::to_string).transpose().map_err(anyhow::Error::new)?,
            tries: 0,
            expires_at: now + LIVES,
            used_at: None,
            created_at: now,
        };
        let code = OtpCode::of(&self.keys.current, id);
        let by_job = self.otp_sender.is_slow();
        self.db
            .again(|| async {
                let tx = self.db.begin().await?;
                otps::insert(&tx, otp.clone()).await?;
                if by_job {
                    jobs::insert(&tx, jobs::delivery(id, now)).await?;
                }
                Ok(commit(tx).await?)
            })
            .await?;
        let by_response = if by_job {
            self.tell_of_a_job().await;
            false
        } else {
            self.otp_sender.send(&message(&otp, code.clone())).await.map_err(anyhow::Error::new)?
                == Delivery::ByResponse
        };
        let is_shown = by_response && (!caller.is_forwarded || self.settings.hands_codes_to_all());
        if by_response && !is_shown {
            tracing::warn!(
                "OTP_DELIVERY=response hands no code to a request that a proxy forwards: set another, or OTP_RESPONSE_IN_PUBLIC"
            );
        }
        Ok(SentOtp {
            phone_number,
            expires_at: now + LIVES,
            resend_at: now + RESEND_AFTER,
            id,
            code: is_shown.then(|| code.into_text()),
        })
    }

    /// Exchanges a code for a session; a number that is new becomes a user, with the profile of the signup whose token
    /// comes with the code.
    ///
    /// # Errors
    /// [`Error::OtpInvalid`] with the tries that are left; [`Error::BadInput`], at no cost, for a token that is not of a
    /// signup of this number.
    pub async fn verify_otp(
        &self,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        signup: Option<&SignupToken>,
        caller: &Caller,
    ) -> Result<SignedIn> {
        let signup = signup.map(|token| token.read(phone_number, &self.keys)).transpose()?;
        let without_a_code = self.tries_left_without_a_code(phone_number, Purpose::SignIn).await;
        let (signed_in, ended) = self
            .db
            .again(|| async {
                let tx = self.db.begin().await?;
                let proven = self.prove(&tx, phone_number, code, Purpose::SignIn, without_a_code).await?;
                let signed_in = match proven {
                    Ok(()) => {
                        let pending = self.take_pending(&tx, signup).await?;
                        let user = self.proven(&tx, phone_number, pending).await?;
                        Ok(self.begin_session(&tx, user, caller).await?)
                    }
                    Err(wrong) => Err(wrong),
                };
                // A wrong try counts.
                commit(tx).await?;
                signed_in
            })
            .await?;
        self.tell_all_ended(&ended).await;
        signed_in.log("code");
        Ok(signed_in)
    }

    /// Uses up the newest code for the number and purpose if it is this one, or says that it is not.
    pub(super) async fn prove(
        &self,
        tx: &DatabaseTransaction,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        purpose: Purpose,
        without_a_code: u32,
    ) -> Result<Result<()>> {
        let now = self.clock.now();
        let tried = otps::take_try(tx, phone_number.as_str(), purpose, MAX_TRIES.cast_signed(), now).await?;
        let Some(otp) = tried else { return Ok(Err(Error::OtpInvalid { attempts_left: without_a_code })) };
        let is_right = self.keys.all().any(|key| code.is_of(key, otp.id));
        if !is_right || !otps::mark_used(tx, otp.id, now).await? {
            let left = MAX_TRIES.saturating_sub(otp.tries.cast_unsigned());
            return Ok(Err(Error::OtpInvalid { attempts_left: left.min(without_a_code) }));
        }
        Ok(Ok(()))
    }

    /// Counts down as if there were a code to guess. Only for the answer: what protects a code is counted in its row.
    pub(super) async fn tries_left_without_a_code(
        &self,
        phone_number: &PhoneNumber,
        purpose: Purpose,
    ) -> u32 {
        let key = format!("otp:guess:{purpose:?}:{phone_number}");
        match self.limits.take(&[Limit { key, max: MAX_TRIES, window: LIVES }]).await {
            Ok(Verdict::Allowed { remaining }) => remaining,
            Ok(Verdict::Refused { .. }) | Err(_) => 0,
        }
    }

    /// Counts one under all limits. With the counter gone nothing is allowed: a code that costs money and a secret that
    /// can be guessed are not to be had uncounted.
    pub(super) async fn take(&self, limits: &[Limit]) -> Result<()> {
        match self.limits.take(limits).await.map_err(anyhow::Error::new)? {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Refused { retry_after } => Err(Error::rate_limited(retry_after)),
        }
    }
}

/// What is delivered.
pub(super) fn message(otp: &otp::Model, code: OtpCode) -> crate::ports::otp_sender::Message {
    crate::ports::otp_sender::Message {
        id: otp.id,
        phone_number: otp.phone_number.clone(),
        code: code.into_text(),
        purpose: otp.purpose,
        expires_at: otp.expires_at,
    }
}
