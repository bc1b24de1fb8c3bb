//! One-time passwords.
//!
//! A try is counted before anything is compared, so that guesses in parallel do not multiply. A wrong, a used, an expired
//! code and one for a number that was never sent any all get the same answer.

use std::time::Duration;

use entity::{OtpId, Timestamp, otp};
use ring::hmac;

use super::{Auth, Caller, PhoneNumber, SignedIn};
use crate::{
    domain::random,
    error::{Error, Result},
    ports::{
        otp_sender::Delivery,
        rate_limit::{Limit, Verdict},
    },
    store::{commit, otps, users},
};

const LIVES: Duration = Duration::from_mins(5);
const MAX_TRIES: u32 = 5;
const DIGITS: usize = 6;
const CODES: u32 = 1_000_000;
const RESEND_AFTER: Duration = Duration::from_secs(30);
const AN_HOUR: Duration = Duration::from_hours(1);

/// A code that is on its way.
pub struct SentOtp {
    pub phone_number: PhoneNumber,
    pub expires_at: Timestamp,
    /// When another may be asked for.
    pub resend_at: Timestamp,
    /// The code, where the response is what delivers it.
    pub code: Option<String>,
}

impl Auth {
    /// Sends a code to a phone, which from now on is the only one that works for it.
    ///
    /// # Errors
    /// [`Error::RateLimited`]: one every 30 s and 5 an hour a phone, 20 an hour an address.
    pub async fn send_otp(&self, phone_number: PhoneNumber, caller: &Caller) -> Result<SentOtp> {
        let limit = |key: String, max, window| Limit { key, max, window };
        self.take(&[
            limit(format!("otp:resend:{phone_number}"), 1, RESEND_AFTER),
            limit(format!("otp:phone:{phone_number}"), 5, AN_HOUR),
            limit(format!("otp:address:{}", caller.address), 20, AN_HOUR),
        ])
        .await?;
        let now = self.clock.now();
        let code = format!("{:0DIGITS$}", random::below(CODES)?);
        let id = OtpId::generate();
        let otp = otp::Model {
            id,
            phone_number: phone_number.as_str().to_owned(),
            code_hash: hmac::sign(&self.keys.otp, &challenge(id, &code)).as_ref().to_vec(),
            tries: 0,
            expires_at: now + LIVES,
            used_at: None,
            created_at: now,
        };
        otps::insert(self.db.write(), otp).await?;
        let delivery = self.otp_sender.send(phone_number.as_str(), &code).await?;
        Ok(SentOtp {
            phone_number,
            expires_at: now + LIVES,
            resend_at: now + RESEND_AFTER,
            code: (delivery == Delivery::ByResponse).then_some(code),
        })
    }

    /// Exchanges a code for a session; a number that is new becomes a user.
    ///
    /// # Errors
    /// [`Error::OtpInvalid`] with the tries that are left.
    pub async fn verify_otp(
        &self,
        phone_number: &PhoneNumber,
        code: &str,
        caller: &Caller,
    ) -> Result<SignedIn> {
        let without_a_code = self.tries_left_without_a_code(phone_number).await;
        self.db.again(|| self.verify_once(phone_number, code, caller, without_a_code)).await
    }

    async fn verify_once(
        &self,
        phone_number: &PhoneNumber,
        code: &str,
        caller: &Caller,
        without_a_code: u32,
    ) -> Result<SignedIn> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let Some(otp) = otps::take_try(&tx, phone_number.as_str(), MAX_TRIES.cast_signed(), now).await?
        else {
            return Err(Error::OtpInvalid { attempts_left: without_a_code });
        };
        let right = hmac::verify(&self.keys.otp, &challenge(otp.id, code), &otp.code_hash).is_ok();
        if !right || !otps::mark_used(&tx, otp.id, now).await? {
            commit(tx).await?;
            let left = MAX_TRIES.saturating_sub(otp.tries.cast_unsigned());
            return Err(Error::OtpInvalid { attempts_left: left.min(without_a_code) });
        }
        let user = users::verified(&tx, phone_number.as_str(), now).await?;
        let signed_in = self.begin_session(&tx, user, caller).await?;
        commit(tx).await?;
        Ok(signed_in)
    }

    /// Counts down as if there were a code to guess. Only for the answer: what protects a code is counted in its row.
    async fn tries_left_without_a_code(&self, phone_number: &PhoneNumber) -> u32 {
        let key = format!("otp:guess:{phone_number}");
        match self.limits.take(&[Limit { key, max: MAX_TRIES, window: LIVES }]).await {
            Ok(Verdict::Allowed { remaining }) => remaining,
            Ok(Verdict::Refused { .. }) | Err(_) => 0,
        }
    }

    /// Counts one under all limits. With the counter gone nothing is allowed: a code that costs money and can be guessed
    /// is not sent uncounted.
    async fn take(&self, limits: &[Limit]) -> Result<()> {
        match self.limits.take(limits).await.map_err(anyhow::Error::new)? {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Refused { retry_after } => {
                let begun_second = u64::from(retry_after.subsec_nanos() > 0);
                Err(Error::RateLimited { retry_after_secs: retry_after.as_secs() + begun_second })
            }
        }
    }
}

/// What a code's hash is made of: the challenge's id keeps equal codes from having equal hashes.
fn challenge(id: OtpId, code: &str) -> Vec<u8> {
    [id.0.as_bytes().as_slice(), code.trim().as_bytes()].concat()
}
