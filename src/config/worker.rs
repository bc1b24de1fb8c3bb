//! How replies are worked on.

use std::{num::NonZeroUsize, time::Duration};

#[derive(Clone, Debug, clap::Args)]
pub struct WorkerSettings {
    /// Replies that one process writes at once
    #[arg(long, env = "WORKER_CONCURRENCY", hide_env_values = true, default_value = "64", value_parser = super::number::<NonZeroUsize>(1..=100_000))]
    pub worker_concurrency: NonZeroUsize,

    /// How long a reply may go without a sign of life from its worker before another takes it over, in seconds
    #[arg(long, env = "WORKER_LEASE", hide_env_values = true, default_value = "30", value_parser = super::seconds(1..=86_400))]
    pub worker_lease: Duration,

    /// How long running replies may go on after SIGTERM, in seconds
    #[arg(long, env = "SHUTDOWN_GRACE", hide_env_values = true, default_value = "30", value_parser = super::seconds(0..=86_400))]
    pub shutdown_grace: Duration,

    /// How long requests are still taken after SIGTERM, in seconds: what the proxy needs to see that /health/ready says no
    #[arg(long, env = "SHUTDOWN_DELAY", hide_env_values = true, default_value = "0", value_parser = super::seconds(0..=86_400))]
    pub shutdown_delay: Duration,
}
