//! How people sign in.

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct AuthSettings {
    /// The key that signs tokens, at least 32 characters; without it one is made and kept beside the database
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_parser = super::secret)]
    pub jwt_secret: Option<SecretString>,

    /// How a one-time password reaches its owner: in the response, for development, or in the log
    #[arg(long, env = "OTP_DELIVERY", hide_env_values = true, default_value = "response")]
    pub otp_delivery: OtpDelivery,

    /// Whether calls are limited; `off` only for load tests on loopback
    #[arg(long, env = "RATE_LIMITS", hide_env_values = true, default_value = "on")]
    pub rate_limits: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OtpDelivery {
    /// The mutation answers with the code itself
    Response,
    /// The code is written to the log
    Log,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl AuthSettings {
    pub(super) fn check(&self, on_loopback: bool) -> Result<(), String> {
        if self.otp_delivery == OtpDelivery::Response && !on_loopback {
            return Err("OTP_DELIVERY=response hands every stranger the code: it is for development, and BIND is not a \
                        loopback address. Set OTP_DELIVERY=log, or BIND=127.0.0.1:8000."
                .to_owned());
        }
        if self.rate_limits == Switch::Off && !on_loopback {
            return Err("RATE_LIMITS=off is for load tests on loopback, and BIND is not a loopback address."
                .to_owned());
        }
        match &self.jwt_secret {
            Some(secret) if secret.expose_secret().len() < 32 => {
                Err("JWT_SECRET is shorter than 32 characters; `openssl rand -hex 32` makes a good one."
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}
