//! How people sign in.

use std::num::NonZeroU32;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

#[derive(Clone, Debug, clap::Args)]
pub struct AuthSettings {
    /// The key that signs tokens, at least 32 characters; without it one is made and kept beside the database
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_parser = super::secret)]
    pub jwt_secret: Option<SecretString>,

    /// Earlier values of JWT_SECRET whose tokens still hold, separated by commas
    #[arg(long, env = "JWT_PREVIOUS_SECRETS", hide_env_values = true, value_parser = super::secret)]
    jwt_previous_secrets: Option<SecretString>,

    /// How a one-time password reaches its owner
    #[arg(long, env = "OTP_DELIVERY", hide_env_values = true, default_value = "response")]
    pub otp_delivery: OtpDelivery,

    /// `yes`: hand every caller the code although BIND is not a loopback address
    #[arg(long, env = "OTP_RESPONSE_IN_PUBLIC", hide_env_values = true, default_value = "no")]
    otp_response_in_public: YesNo,

    /// Where OTP_DELIVERY=webhook posts codes, and the key that signs the requests
    #[arg(long, env = "OTP_WEBHOOK_URL", hide_env_values = true)]
    otp_webhook_url: Option<Url>,

    /// The key that signs the requests of OTP_DELIVERY=webhook, at least 32 characters
    #[arg(long, env = "OTP_WEBHOOK_SECRET", hide_env_values = true, value_parser = super::secret)]
    otp_webhook_secret: Option<SecretString>,

    /// The account that OTP_DELIVERY=twilio sends by
    #[arg(long, env = "TWILIO_ACCOUNT_SID", hide_env_values = true)]
    twilio_account_sid: Option<String>,

    /// Its token
    #[arg(long, env = "TWILIO_AUTH_TOKEN", hide_env_values = true, value_parser = super::secret)]
    twilio_auth_token: Option<SecretString>,

    /// The number that it sends from, or a messaging service's id (MG…)
    #[arg(long, env = "TWILIO_FROM", hide_env_values = true)]
    twilio_from: Option<String>,

    /// Where Twilio's API is
    #[arg(long, env = "TWILIO_API_BASE", hide_env_values = true, default_value = "https://api.twilio.com")]
    twilio_api_base: String,

    /// Countries whose numbers get codes, as two letters (ISO 3166), separated by commas; `*` for all, as where codes cost
    /// nothing
    #[arg(long, env = "OTP_COUNTRIES", hide_env_values = true)]
    otp_countries: Option<String>,

    /// Codes an hour for all numbers that differ in their last four digits alone
    #[arg(long, env = "OTP_PREFIX_LIMIT", hide_env_values = true, default_value = "50", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub otp_prefix_limit: NonZeroU32,

    /// Whether calls are limited; `off` only for load tests on loopback
    #[arg(long, env = "RATE_LIMITS", hide_env_values = true, default_value = "on")]
    pub rate_limits: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OtpDelivery {
    /// The mutation answers with the code itself, for development
    Response,
    /// The code is written to the log
    Log,
    /// The code is posted to OTP_WEBHOOK_URL
    Webhook,
    /// The code is sent as a text message by Twilio
    Twilio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum YesNo {
    Yes,
    No,
}

/// What Twilio wants to know.
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    pub base: String,
    pub account_sid: String,
    pub auth_token: SecretString,
    pub from: String,
}

impl AuthSettings {
    #[must_use]
    pub fn previous_secrets(&self) -> Vec<SecretString> {
        let list = self.jwt_previous_secrets.as_ref().map_or("", |list| list.expose_secret());
        super::items(list).map(SecretString::from).collect()
    }

    /// Whether numbers of this country, such as `US`, get codes.
    #[must_use]
    pub fn serves(&self, country: Option<&str>) -> bool {
        super::items(self.countries()).any(|served| {
            served == "*" || country.is_some_and(|country| country.eq_ignore_ascii_case(served))
        })
    }

    fn countries(&self) -> &str {
        self.otp_countries.as_deref().unwrap_or("*")
    }

    /// Whether a request that came by a proxy, and so may be anybody's, may be handed a code.
    #[must_use]
    pub fn hands_codes_to_all(&self) -> bool {
        self.otp_response_in_public == YesNo::Yes
    }

    /// Where to post codes and the key to sign them with, if both are set.
    #[must_use]
    pub fn otp_webhook(&self) -> Option<(Url, SecretString)> {
        Some((self.otp_webhook_url.clone()?, self.otp_webhook_secret.clone()?))
    }

    /// If all of it is set.
    #[must_use]
    pub fn twilio(&self) -> Option<TwilioSettings> {
        let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Some(TwilioSettings {
            base: self.twilio_api_base.clone(),
            account_sid: set(&self.twilio_account_sid)?,
            auth_token: self.twilio_auth_token.clone()?,
            from: set(&self.twilio_from)?,
        })
    }

    /// What every process needs, workers too.
    pub(super) fn check_delivery(&self) -> Result<(), String> {
        let is_short = |secret: &SecretString| secret.expose_secret().len() < 32;
        match self.otp_delivery {
            OtpDelivery::Webhook if self.otp_webhook().is_none_or(|(_, secret)| is_short(&secret)) => {
                Err("OTP_DELIVERY=webhook posts codes to OTP_WEBHOOK_URL, signed with OTP_WEBHOOK_SECRET of at least 32 \
                     characters: set both."
                    .to_owned())
            }
            OtpDelivery::Twilio if self.twilio().is_none() => {
                Err("OTP_DELIVERY=twilio needs TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM.".to_owned())
            }
            OtpDelivery::Webhook | OtpDelivery::Twilio if self.otp_countries.is_none() => {
                Err("OTP_COUNTRIES must say whose numbers get codes, as in DE,US: each code costs money, and there are those \
                     who are paid for it. `*` is for all."
                    .to_owned())
            }
            _ if self.jwt_secret.iter().chain(&self.previous_secrets()).any(is_short) => {
                Err("JWT_SECRET, or one of JWT_PREVIOUS_SECRETS, is shorter than 32 characters; \
                     `openssl rand -hex 32` makes a good one."
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check(&self, on_loopback: bool) -> Result<(), String> {
        if self.otp_delivery == OtpDelivery::Response
            && !on_loopback
            && self.otp_response_in_public == YesNo::No
        {
            return Err("OTP_DELIVERY=response hands every stranger the code: it is for development, and BIND is not a \
                        loopback address. Set another OTP_DELIVERY, or BIND=127.0.0.1:8000; or say that you mean it by \
                        OTP_RESPONSE_IN_PUBLIC=yes."
                .to_owned());
        }
        if self.rate_limits == Switch::Off && !on_loopback {
            return Err("RATE_LIMITS=off is for load tests on loopback, and BIND is not a loopback address."
                .to_owned());
        }
        for country in super::items(self.countries()) {
            if country != "*"
                && !(country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_alphabetic()))
            {
                return Err(format!(
                    "OTP_COUNTRIES: `{country}` is not a country: write two letters, as in DE,US."
                ));
            }
        }
        Ok(())
    }
}
