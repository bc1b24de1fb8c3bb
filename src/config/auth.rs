//! Settings for signing in: secrets and one-time passwords.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

#[derive(Clone, Debug, clap::Args)]
pub struct AuthSettings {
    /// Secret that tokens and codes are derived from, at least 32 characters [default: generated and stored next to the
    /// database]
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_parser = super::secret)]
    pub jwt_secret: Option<SecretString>,

    /// Previous values of JWT_SECRET whose tokens stay valid, separated by commas
    #[arg(long, env = "JWT_PREVIOUS_SECRETS", hide_env_values = true, value_parser = super::secret)]
    jwt_previous_secrets: Option<SecretString>,

    /// How one-time passwords are delivered
    #[arg(long, env = "OTP_DELIVERY", hide_env_values = true, default_value = "response")]
    pub otp_delivery: OtpDelivery,

    /// Allow OTP_DELIVERY=response on a public address: every client receives the code of any phone number
    #[arg(long, env = "OTP_RESPONSE_IN_PUBLIC", hide_env_values = true, default_value = "no")]
    otp_response_in_public: YesNo,

    /// URL that OTP_DELIVERY=webhook posts codes to
    #[arg(long, env = "OTP_WEBHOOK_URL", hide_env_values = true)]
    otp_webhook_url: Option<Url>,

    /// Secret that signs the requests of OTP_DELIVERY=webhook, at least 32 characters
    #[arg(long, env = "OTP_WEBHOOK_SECRET", hide_env_values = true, value_parser = super::secret)]
    otp_webhook_secret: Option<SecretString>,

    /// Twilio account for OTP_DELIVERY=twilio
    #[arg(long, env = "TWILIO_ACCOUNT_SID", hide_env_values = true)]
    twilio_account_sid: Option<String>,

    /// Auth token of the Twilio account
    #[arg(long, env = "TWILIO_AUTH_TOKEN", hide_env_values = true, value_parser = super::secret)]
    twilio_auth_token: Option<SecretString>,

    /// Sender of text messages: a phone number in E.164 form or a messaging service id (MG…)
    #[arg(long, env = "TWILIO_FROM", hide_env_values = true)]
    twilio_from: Option<String>,

    /// Base URL of Twilio's API
    #[arg(long, env = "TWILIO_API_BASE", hide_env_values = true, default_value = "https://api.twilio.com")]
    twilio_api_base: String,

    /// Countries whose phone numbers receive codes, as ISO 3166 two-letter codes separated by commas; `*` for all. Required
    /// with OTP_DELIVERY=webhook and twilio [default for response and log: *]
    #[arg(long, env = "OTP_COUNTRIES", hide_env_values = true)]
    otp_countries: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OtpDelivery {
    /// In the response, for development
    Response,
    /// In the log
    Log,
    /// Posted to OTP_WEBHOOK_URL
    Webhook,
    /// As a text message through Twilio
    Twilio,
}

impl OtpDelivery {
    /// The value of the setting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Log => "log",
            Self::Webhook => "webhook",
            Self::Twilio => "twilio",
        }
    }
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

/// Twilio's credentials and sender.
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

    /// Whether phone numbers of this country, such as `US`, receive codes. `country` is none for a number that belongs to no
    /// country.
    #[must_use]
    pub fn serves(&self, country: Option<&str>) -> bool {
        super::items(self.countries()).any(|served| {
            served == "*" || country.is_some_and(|country| country.eq_ignore_ascii_case(served))
        })
    }

    fn countries(&self) -> &str {
        self.otp_countries.as_deref().unwrap_or("*")
    }

    /// Whether the response may contain a code even if the request came through a proxy and may be from anyone.
    #[must_use]
    pub fn exposes_codes(&self) -> bool {
        self.otp_response_in_public == YesNo::Yes
    }

    /// The URL and the signing secret of the webhook, if both are set.
    #[must_use]
    pub fn otp_webhook(&self) -> Option<(Url, SecretString)> {
        Some((self.otp_webhook_url.clone()?, self.otp_webhook_secret.clone()?))
    }

    /// The Twilio settings, if all are set.
    #[must_use]
    pub fn twilio(&self) -> Option<TwilioSettings> {
        let non_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Some(TwilioSettings {
            base: self.twilio_api_base.clone(),
            account_sid: non_empty(&self.twilio_account_sid)?,
            auth_token: self.twilio_auth_token.clone()?,
            from: non_empty(&self.twilio_from)?,
        })
    }

    /// Checks how codes are delivered, and the secrets. Every process needs these settings, workers included.
    pub(super) fn check_delivery(&self) -> Result<(), String> {
        let is_short = |secret: &SecretString| secret.expose_secret().len() < 32;
        match self.otp_delivery {
            OtpDelivery::Webhook if self.otp_webhook().is_none_or(|(_, secret)| is_short(&secret)) => {
                Err("OTP_DELIVERY=webhook requires OTP_WEBHOOK_URL and OTP_WEBHOOK_SECRET of at least 32 characters."
                    .to_owned())
            }
            OtpDelivery::Twilio if self.twilio().is_none() => {
                Err("OTP_DELIVERY=twilio requires TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM.".to_owned())
            }
            OtpDelivery::Webhook | OtpDelivery::Twilio if self.otp_countries.is_none() => {
                Err("OTP_COUNTRIES must list the countries whose numbers receive codes, as in DE,US, or `*` for all: each code \
                     costs money, and fraudsters earn from codes sent to premium destinations."
                    .to_owned())
            }
            _ if self.jwt_secret.iter().chain(&self.previous_secrets()).any(is_short) => {
                Err("JWT_SECRET and each of JWT_PREVIOUS_SECRETS must have at least 32 characters. Generate one with \
                     `openssl rand -hex 32`."
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Checks the settings that only processes with an API need.
    pub(super) fn check(&self, on_loopback: bool) -> Result<(), String> {
        if self.otp_delivery == OtpDelivery::Response
            && !on_loopback
            && self.otp_response_in_public == YesNo::No
        {
            return Err("OTP_DELIVERY=response returns codes to any client, and BIND is not a loopback address. Set another \
                        OTP_DELIVERY, or BIND=127.0.0.1:8000 for development, or OTP_RESPONSE_IN_PUBLIC=yes if this is \
                        intended."
                .to_owned());
        }
        for country in super::items(self.countries()) {
            if country != "*"
                && !(country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_alphabetic()))
            {
                return Err(format!(
                    "OTP_COUNTRIES: `{country}` is not a two-letter country code such as DE."
                ));
            }
        }
        Ok(())
    }
}
