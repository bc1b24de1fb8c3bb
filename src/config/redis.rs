//! Settings of Redis, which all processes share, as they share the database.

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct RedisSettings {
    /// Redis or Valkey, such as redis://user:password@host:6379/0 or rediss://…; required by more than one process [default:
    /// none, memory is used instead]
    ///
    /// Processes share live text, signals, the cache and rate limits there. For a cluster, list servers separated by commas;
    /// one is enough.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_parser = super::secret)]
    redis_url: Option<SecretString>,
}

impl RedisSettings {
    /// The URL of Redis; none if this process uses its memory instead.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.redis_url.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.is_empty())
    }
}
