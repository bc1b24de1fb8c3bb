//! Settings of quotas: how many prompts and tokens users may use.

use chrono_tz::Tz;

#[derive(Clone, Debug, clap::Args)]
pub struct QuotaSettings {
    /// Maximum prompts a day of a user without a subscription
    #[arg(long, env = "BASIC_DAILY_LIMIT", hide_env_values = true, default_value_t = 20, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub basic_daily_limit: i32,

    /// Maximum prompts a day of a subscriber [default: unlimited]
    #[arg(long, env = "PRO_DAILY_LIMIT", hide_env_values = true, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub pro_daily_limit: Option<i32>,

    /// Maximum tokens a day, of prompts, answers and thoughts, of a user without a subscription [default: unlimited]
    #[arg(long, env = "BASIC_DAILY_TOKENS", hide_env_values = true, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub basic_daily_tokens: Option<i32>,

    /// Maximum tokens a day of a subscriber [default: unlimited]
    #[arg(long, env = "PRO_DAILY_TOKENS", hide_env_values = true, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub pro_daily_tokens: Option<i32>,

    /// Maximum tokens a month of a user without a subscription [default: unlimited]
    #[arg(long, env = "BASIC_MONTHLY_TOKENS", hide_env_values = true, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub basic_monthly_tokens: Option<i32>,

    /// Maximum tokens a month of a subscriber [default: unlimited]
    #[arg(long, env = "PRO_MONTHLY_TOKENS", hide_env_values = true, value_parser = super::number::<i32>(0..=i32::MAX as u64))]
    pub pro_monthly_tokens: Option<i32>,

    /// Tokens that are reserved for each reply until it has ended and its usage is known
    ///
    /// A reply that uses more tokens can exceed the user's maximum by the difference. The higher the value, the fewer replies a
    /// user whose tokens are almost used up can request at once.
    #[arg(long, env = "RESERVED_TOKENS", hide_env_values = true, default_value_t = 10_000, value_parser = super::number::<i32>(1..=10_000_000))]
    pub reserved_tokens: i32,

    /// Time zone in which days and months begin, such as Europe/Berlin
    #[arg(long, env = "QUOTA_TIME_ZONE", hide_env_values = true, default_value = "UTC", value_parser = time_zone)]
    pub quota_time_zone: Tz,
}

fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse()
        .map_err(|_| "must be a name of the IANA time zone database, such as Europe/Berlin".to_owned())
}
