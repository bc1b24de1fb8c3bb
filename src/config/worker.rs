//! Settings of workers and of shutdown.

use std::{num::NonZeroUsize, time::Duration};

#[derive(Clone, Debug, clap::Args)]
pub struct WorkerSettings {
    /// Maximum concurrent jobs of one process
    #[arg(long, env = "WORKER_CONCURRENCY", hide_env_values = true, default_value = "1000", value_parser = super::number::<NonZeroUsize>(1..=100_000))]
    pub worker_concurrency: NonZeroUsize,

    /// Lease of a job in seconds: after this long without a heartbeat, another worker takes the job over
    #[arg(long, env = "WORKER_LEASE", hide_env_values = true, default_value = "30", value_parser = super::seconds(1..=86_400))]
    pub worker_lease: Duration,

    /// Time in seconds that running replies have to finish after SIGTERM
    #[arg(long, env = "SHUTDOWN_GRACE", hide_env_values = true, default_value = "30", value_parser = super::seconds(0..=86_400))]
    pub shutdown_grace: Duration,

    /// Time in seconds to keep accepting requests once the running replies have ended after SIGTERM, so that the load balancer
    /// notices that /health/ready fails
    #[arg(long, env = "SHUTDOWN_DELAY", hide_env_values = true, default_value = "0", value_parser = super::seconds(0..=86_400))]
    pub shutdown_delay: Duration,
}
