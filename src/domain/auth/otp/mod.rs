//! One-time passwords. A challenge, which is a row of `otps`, asks a client to prove with a code that it can read the messages
//! to a phone number.
//!
//! A code is derived from the id of its challenge and a key. No code is stored, and a retried delivery derives the same
//! code. An attempt is counted before its code is compared, so concurrent guesses do not get extra attempts. The response is the
//! same if a code is wrong, used or expired, and if the number has no code.
//!
//! This module does not know sessions, and stores the profile of a signup without reading it: `sign_in`, `signup` and
//! `password_change` build on it.

pub(super) mod code;
pub(super) mod delivery;

use std::time::Duration;

use entity::{OtpId, Timestamp, job, otp};

use super::{Auth, Caller, DELIVER_OTP, HOUR, OtpCode, PhoneNumber};
use crate::{
    error::{Error, Result},
    ports::{
        otp_sender::{Delivery, OtpMessage},
        rate_limit::{Limit, Verdict},
    },
    store::{Transaction, commit, jobs, otps},
};

pub use entity::otp::Purpose;

const CODE_LIFETIME: Duration = Duration::from_mins(5);
/// Maximum number of attempts at one code.
const MAX_ATTEMPTS: u32 = 5;
const RESEND_INTERVAL: Duration = Duration::from_secs(30);

/// A challenge whose code was sent or is queued for delivery.
pub struct SentOtp {
    pub(super) id: OtpId,
    pub phone_number: PhoneNumber,
    pub expires_at: Timestamp,
    /// The earliest time at which another code can be requested.
    pub resend_at: Timestamp,
    /// The code, if the response contains it because it is not sent to the phone.
    pub code: Option<String>,
}

impl Auth {
    /// Sends a code to a phone. From then on, earlier codes for this number and purpose are invalid.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a country that this server does not send codes to. [`Error::RateLimited`]: one code every 30 s and
    /// 5 an hour per phone, `OTP_ADDRESS_LIMIT` an hour per address, and `OTP_PREFIX_LIMIT` an hour for numbers that differ only
    /// in their last four digits.
    pub async fn send_otp(
        &self,
        phone_number: PhoneNumber,
        purpose: Purpose,
        caller: &Caller,
    ) -> Result<SentOtp> {
        self.take_otp_limits(&phone_number, caller).await?;
        self.create_otp(phone_number, purpose, None, caller).await
    }

    /// Checks that the server sends codes to the number's country, and counts a code against its rate limits. Call it before any
    /// work is done for the code.
    pub(super) async fn take_otp_limits(&self, phone_number: &PhoneNumber, caller: &Caller) -> Result<()> {
        if !self.settings.serves(phone_number.country()) {
            return Err(Error::bad_input(
                "phoneNumber",
                "phoneNumber belongs to a country that this server does not send codes to.",
            ));
        }
        let limit = |key: String, max, window| Limit { key, max, window };
        self.take_limits(&[
            limit(format!("otp:resend:{phone_number}"), 1, RESEND_INTERVAL),
            limit(format!("otp:phone:{phone_number}"), 5, HOUR),
            limit(format!("otp:address:{}", caller.network()), self.rates.otp_address_limit.get(), HOUR),
            limit(format!("otp:prefix:{}", phone_number.prefix()), self.rates.otp_prefix_limit.get(), HOUR),
        ])
        .await
    }

    /// Stores a challenge and delivers its code, or creates the job that delivers it. `signup` is the serialized profile
    /// that is stored with the challenge.
    pub(super) async fn create_otp(
        &self,
        phone_number: PhoneNumber,
        purpose: Purpose,
        signup: Option<String>,
        caller: &Caller,
    ) -> Result<SentOtp> {
        let now = self.clock.now();
        let id = OtpId::generate();
        let otp = otp::Model {
            id,
            phone_number: phone_number.as_str().to_owned(),
            purpose,
            signup,
            tries: 0,
            expires_at: now + CODE_LIFETIME,
            used_at: None,
            created_at: now,
        };
        let code = OtpCode::derive(&self.keys.current, id);
        let is_delivered_by_job = self.otp_sender.is_remote();
        self.db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                otps::insert(&tx, otp.clone()).await?;
                if is_delivered_by_job {
                    let delivery = job::Model { otp_id: Some(id), ..jobs::new(DELIVER_OTP, now) };
                    jobs::insert(&tx, delivery).await?;
                }
                Ok(commit(tx).await?)
            })
            .await?;
        let is_delivered_by_response = if is_delivered_by_job {
            self.signal_new_job().await;
            false
        } else {
            let delivery = self.otp_sender.send(&message(&otp, code.clone())).await;
            delivery.map_err(anyhow::Error::new)? == Delivery::ByResponse
        };
        // A forwarded request may come from anyone. If its response contained the code, anyone could sign in with any number.
        let is_shown = is_delivered_by_response && (!caller.is_forwarded || self.settings.exposes_codes());
        if is_delivered_by_response && !is_shown {
            tracing::warn!(
                "one-time password withheld from a proxied request: set OTP_DELIVERY to webhook or twilio, \
                 or OTP_RESPONSE_IN_PUBLIC=yes"
            );
        }
        Ok(SentOtp {
            phone_number,
            expires_at: now + CODE_LIFETIME,
            resend_at: now + RESEND_INTERVAL,
            id,
            code: is_shown.then(|| code.into_text()),
        })
    }

    /// Marks the newest code for this number and purpose as used, if it is `code`. The inner error reports a failed attempt: the
    /// caller must commit the transaction nevertheless, because the attempt was counted in it. After the outer error, the caller
    /// must roll the transaction back. The inner error never reports more attempts left than `decoy_attempts_left`.
    pub(super) async fn use_otp(
        &self,
        tx: &Transaction,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        purpose: Purpose,
        decoy_attempts_left: u32,
    ) -> Result<Result<()>> {
        let now = self.clock.now();
        let max_attempts = MAX_ATTEMPTS.cast_signed();
        let Some(otp) = otps::take_try(tx, phone_number.as_str(), purpose, max_attempts, now).await? else {
            return Ok(Err(Error::OtpInvalid { attempts_left: decoy_attempts_left }));
        };
        let is_correct = self.keys.all().any(|key| code.matches(key, otp.id));
        if !is_correct || !otps::mark_used(tx, otp.id, now).await? {
            let attempts_left = MAX_ATTEMPTS.saturating_sub(otp.tries.cast_unsigned());
            return Ok(Err(Error::OtpInvalid { attempts_left: attempts_left.min(decoy_attempts_left) }));
        }
        Ok(Ok(()))
    }

    /// Counts down the attempts for a number as if it had a code, so that the response does not reveal whether it has one. The
    /// result is only reported to the client; the attempts at a real code are limited by the count in its row.
    pub(super) async fn decoy_attempts_left(&self, phone_number: &PhoneNumber, purpose: Purpose) -> u32 {
        let key = format!("otp:guess:{purpose:?}:{phone_number}");
        match self.limits.take(&[Limit { key, max: MAX_ATTEMPTS, window: CODE_LIFETIME }]).await {
            Ok(Verdict::Allowed { remaining }) => remaining,
            Ok(Verdict::Rejected { .. }) | Err(_) => 0,
        }
    }
}

/// The message that delivers a challenge's code.
fn message(otp: &otp::Model, code: OtpCode) -> OtpMessage {
    OtpMessage {
        id: otp.id,
        phone_number: otp.phone_number.clone(),
        code: code.into_text(),
        purpose: otp.purpose,
        expires_at: otp.expires_at,
    }
}
