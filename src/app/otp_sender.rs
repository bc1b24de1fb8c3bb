//! Selects how one-time passwords are delivered.

use std::sync::Arc;

use anyhow::Context;

use super::{OTP_TIMEOUT, http_client::http_client};
use crate::{
    adapters::{otp, otp_webhook::OtpWebhook, twilio::Twilio},
    clock::Clock,
    config::{Config, OtpDelivery, TwilioSettings},
    ports::otp_sender::OtpSender,
};

pub(super) fn otp_sender(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn OtpSender>> {
    const UNSET: &str = "the settings of OTP_DELIVERY are incomplete";
    Ok(match config.auth.otp_delivery {
        OtpDelivery::Response => Arc::new(otp::ByResponse),
        OtpDelivery::Log => Arc::new(otp::ToLog),
        OtpDelivery::Webhook => {
            let (url, secret) = config.auth.otp_webhook().context(UNSET)?;
            Arc::new(OtpWebhook::new(http_client(OTP_TIMEOUT)?, url, &secret, clock.clone()))
        }
        OtpDelivery::Twilio => {
            let TwilioSettings { base, account_sid, auth_token, from } =
                config.auth.twilio().context(UNSET)?;
            Arc::new(Twilio { http: http_client(OTP_TIMEOUT)?, base, account_sid, auth_token, from })
        }
    })
}
