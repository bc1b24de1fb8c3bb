//! What processes share besides the database.

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct RedisSettings {
    /// Redis or Valkey, such as redis://user:password@host:6379/0 or rediss://…, where several processes share live text
    ///
    /// Hints, the cache and rate limits are there, too. Servers of a cluster are separated by commas; one is enough.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_parser = super::secret)]
    redis_url: Option<SecretString>,
}

impl RedisSettings {
    /// None: what would be in Redis is in this process's memory.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.redis_url.as_ref().map(ExposeSecret::expose_secret).filter(|url| !url.is_empty())
    }
}
