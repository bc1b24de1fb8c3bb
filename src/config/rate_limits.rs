//! Settings of rate limits. An address here is an IPv4 address or an IPv6 network. All users of a school or an office may share
//! one address.

use std::num::NonZeroU32;

use super::Switch;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RateLimitSettings {
    /// Whether rate limits apply (on or off); off is for load tests on a loopback address only
    #[arg(long, env = "RATE_LIMITS", hide_env_values = true, default_value = "on")]
    pub rate_limits: Switch,

    /// Mutations a minute of a user
    #[arg(long, env = "USER_MUTATION_LIMIT", hide_env_values = true, default_value = "120", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub user_mutation_limit: NonZeroU32,

    /// Mutations a minute of all signed-in users of an address
    #[arg(long, env = "ADDRESS_MUTATION_LIMIT", hide_env_values = true, default_value = "600", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub address_mutation_limit: NonZeroU32,

    /// Mutations a minute of all callers of an address who are not signed in
    #[arg(long, env = "ANONYMOUS_MUTATION_LIMIT", hide_env_values = true, default_value = "60", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub anonymous_mutation_limit: NonZeroU32,

    /// One-time passwords an hour that an address can request
    #[arg(long, env = "OTP_ADDRESS_LIMIT", hide_env_values = true, default_value = "20", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub otp_address_limit: NonZeroU32,

    /// One-time passwords an hour for numbers that differ only in their last four digits
    #[arg(long, env = "OTP_PREFIX_LIMIT", hide_env_values = true, default_value = "50", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub otp_prefix_limit: NonZeroU32,

    /// Sign-ins by password an hour, and as many resets of a password, that an address can try
    #[arg(long, env = "PASSWORD_ADDRESS_LIMIT", hide_env_values = true, default_value = "30", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub password_address_limit: NonZeroU32,

    /// Registrations with a password an hour that an address can try
    #[arg(long, env = "SIGNUP_ADDRESS_LIMIT", hide_env_values = true, default_value = "60", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub signup_address_limit: NonZeroU32,

    /// Reads of shared chatrooms a minute by an address
    #[arg(long, env = "SHARE_ADDRESS_LIMIT", hide_env_values = true, default_value = "120", value_parser = super::number::<NonZeroU32>(1..=1_000_000))]
    pub share_address_limit: NonZeroU32,
}

impl RateLimitSettings {
    pub(super) fn check(self, on_loopback: bool) -> Result<(), String> {
        if self.rate_limits == Switch::Off && !on_loopback {
            return Err("RATE_LIMITS=off requires BIND to be a loopback address.".to_owned());
        }
        Ok(())
    }
}
