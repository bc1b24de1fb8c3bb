//! Settings: one struct for each section of the help text, read from flags, the environment or `.env`. When a server starts, all
//! settings are checked together.
//!
//! `pollux -h` prints the first paragraph of a setting's documentation, `pollux --help` all of it.

mod auth;
mod billing;
mod chat;
mod command_line;
mod database;
mod dotenv;
mod gemini;
mod graphql;
mod logs;
mod metrics;
mod model;
mod openai;
mod quota;
mod rate_limits;
mod redis;
mod secret;
mod server;
mod traces;
mod worker;

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

pub use auth::{AuthSettings, OtpDelivery, Switch, TwilioSettings};
pub use billing::BillingSettings;
pub use chat::ChatSettings;
pub use command_line::parse_command_line;
pub use database::{DatabaseSettings, DatabaseUrl};
pub use dotenv::load_dotenv;
pub use gemini::GeminiSettings;
pub use graphql::{GraphqlSettings, PersistedQueries};
pub use logs::{LogFormat, LogSettings};
pub use metrics::MetricsSettings;
pub use model::ModelSettings;
pub use openai::OpenAiSettings;
pub use quota::QuotaSettings;
pub use rate_limits::RateLimitSettings;
pub use redis::RedisSettings;
pub use server::ServerSettings;
pub use traces::TraceSettings;
pub use worker::WorkerSettings;

/// All settings.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    #[command(flatten, next_help_heading = "Server")]
    pub server: ServerSettings,
    #[command(flatten, next_help_heading = "GraphQL")]
    pub graphql: GraphqlSettings,
    #[command(flatten, next_help_heading = "Database")]
    pub database: DatabaseSettings,
    #[command(flatten, next_help_heading = "Redis")]
    pub redis: RedisSettings,
    #[command(flatten, next_help_heading = "Accounts")]
    pub auth: AuthSettings,
    #[command(flatten, next_help_heading = "Rate limits")]
    pub rates: RateLimitSettings,
    #[command(flatten, next_help_heading = "Models")]
    pub model: ModelSettings,
    #[command(flatten, next_help_heading = "Gemini")]
    pub gemini: GeminiSettings,
    #[command(flatten, next_help_heading = "OpenAI-compatible server")]
    pub openai: OpenAiSettings,
    #[command(flatten, next_help_heading = "Chat")]
    pub chat: ChatSettings,
    #[command(flatten, next_help_heading = "Quotas")]
    pub quota: QuotaSettings,
    #[command(flatten, next_help_heading = "Billing")]
    pub billing: BillingSettings,
    #[command(flatten, next_help_heading = "Worker")]
    pub worker: WorkerSettings,
    #[command(flatten, next_help_heading = "Metrics")]
    pub metrics: MetricsSettings,
    #[command(flatten, next_help_heading = "Traces")]
    pub traces: TraceSettings,
    #[command(flatten, next_help_heading = "Logs")]
    pub logs: LogSettings,
}

/// Which parts of Pollux a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The API and a worker, in one process.
    All,
    Api,
    Worker,
}

impl Config {
    /// Rejects incomplete and contradictory combinations of settings.
    ///
    /// # Errors
    /// A sentence that names the setting to change.
    pub fn check(&self, role: Role) -> Result<(), String> {
        let uses_postgres_and_redis = self.database.is_postgres() && self.redis.url().is_some();
        if role != Role::All && !uses_postgres_and_redis {
            return Err("`pollux api` and `pollux worker` require PostgreSQL and Redis: set DATABASE_URL=postgres://… and \
                        REDIS_URL=redis://…, or run `pollux` without a command, which needs neither."
                .to_owned());
        }
        if uses_postgres_and_redis && self.auth.jwt_secret.is_none() {
            return Err("JWT_SECRET is required with PostgreSQL and Redis and must be the same on all nodes. Generate one with \
                        `openssl rand -hex 32`."
                .to_owned());
        }
        self.check_models()?;
        self.billing.check()?;
        self.auth.check_delivery()?;
        if role == Role::Worker {
            return Ok(());
        }
        self.server.check()?;
        self.graphql.check()?;
        let on_loopback = self.server.bind_address().ip().is_loopback();
        self.auth.check(on_loopback)?;
        self.rates.check(on_loopback)
    }
}

/// Parses a whole number within a range.
fn number<T: FromStr + Clone + Send + Sync + 'static>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let is_in_range = text.parse().is_ok_and(|number| range.contains(&number));
        let number = if is_in_range { text.parse().ok() } else { None };
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// Parses a duration given in whole seconds.
fn seconds(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let seconds = number::<u64>(range);
    move |text| match seconds(text) {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(error) => Err(format!("{error}, in seconds")),
    }
}

/// The items of a comma-separated list, without empty ones.
fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Rejects a setting that is not an http(s) URL.
fn check_url(name: &str, url: &str) -> Result<(), String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(())
    } else {
        Err(format!("{name}: `{url}` is not an http(s) URL."))
    }
}

/// Parses a secret, which logs and errors never print.
#[expect(clippy::unnecessary_wraps, reason = "the signature of a clap value parser")]
fn secret(text: &str) -> Result<secrecy::SecretString, std::convert::Infallible> {
    Ok(text.into())
}
